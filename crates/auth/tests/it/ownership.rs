//! An account belongs to the reader of its mail, and not to the person who registered it.

use auth::config::Grant;
use kit::caller::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::Reply;

use crate::app::{PASSWORD, TestApp, cookie, lock_waits, login, refresh};
use crate::mailing::Post;

const ADA: &str = "ada@example.org";
const OWN: &str = "what the owner chose";

fn grant() -> Grant {
    Grant { email: ADA.to_owned(), role: Role::Operator }
}

async fn verify(post: &Post, key: &str, code: &str, password: &str) -> Reply {
    let body = json!({ "email": ADA, "code": code, "password": password });
    post.ask("/v1/verification", key, body).await
}

/// An attacker registers the address and signs in; then its owner registers it. Returns the codes of both, and the
/// attacker's session.
async fn hijacked(post: &Post) -> ([String; 2], Value) {
    let app = &post.app;
    app.register(ADA).await.expect(202);
    let session = app.session(ADA).await;
    let first = post.code(1).await;
    let body = json!({ "email": ADA, "password": OWN, "display_name": "Ada" });
    app.api.post("/v1/register").key("owner").json(body).send().await.expect(202);
    ([first, post.code(2).await], session)
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn who_registered_the_address_before_its_owner_keeps_nothing(db: PgPool) {
    keeps_nothing(db, 1).await;
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn nor_when_the_owner_brings_the_code_that_the_first_registration_caused(db: PgPool) {
    keeps_nothing(db, 0).await;
}

async fn keeps_nothing(db: PgPool, brought: usize) {
    let post = Post::new(db).await;
    let app = &post.app;
    let (codes, stolen) = hijacked(&post).await;
    verify(&post, "v", &codes[brought], OWN).await.expect(200);

    app.auth.grant(&grant()).await.unwrap();
    assert_eq!(app.login(ADA, PASSWORD).await.expect(401).code(), "invalid_credentials");
    assert_eq!(app.refresh(&stolen).await.expect(401).code(), "session_revoked");
    let token = stolen["access_token"].as_str().unwrap();
    let refused = app.api.get("/v1/me").bearer(token).send().await.expect(401);
    assert_eq!(refused.code(), "session_revoked");
    app.login(ADA, OWN).await.expect(200);
    // Neither code opens anything afterwards.
    for (n, code) in codes.iter().enumerate() {
        let again = verify(&post, &format!("again{n}"), code, PASSWORD).await.expect(401);
        assert_eq!(again.code(), "code_invalid");
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_code_alone_verifies_nothing(db: PgPool) {
    let post = Post::new(db).await;
    post.app.register(ADA).await.expect(202);
    let code = post.code(1).await;
    let body = json!({ "email": ADA, "code": code });
    post.ask("/v1/verification", "k", body).await.expect(422);
    assert_eq!(verify(&post, "l", &code, "short").await.expect(422).code(), "password_too_short");
    let sql = "SELECT count(*) FROM member WHERE verified_at IS NOT NULL";
    let verified: i64 = sqlx::query_scalar(sql).fetch_one(&post.app.db).await.unwrap();
    assert_eq!(verified, 0);
    verify(&post, "m", &code, OWN).await.expect(200);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn nobody_gets_a_role_before_their_address_is_verified(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register(ADA).await.expect(202);
    let refused = app.auth.grant(&grant()).await.unwrap_err();
    assert!(refused.to_string().contains("the address is not verified"), "{refused}");
    assert_eq!(app.count("member_role").await, 0);
    app.verified(ADA).await;
    app.auth.grant(&grant()).await.unwrap();
    assert_eq!(app.count("member_role").await, 1);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_code_for_the_address_is_worth_nothing_once_a_reset_has_verified_it(db: PgPool) {
    let post = Post::new(db).await;
    post.app.register(ADA).await.expect(202);
    let first = post.code(1).await;
    post.ask("/v1/password/forgot", "f", json!({ "email": ADA })).await.expect(202);
    let code = post.code(2).await;
    let body = json!({ "email": ADA, "code": code, "new_password": OWN });
    post.ask("/v1/password/reset", "r", body).await.expect(200);
    assert_eq!(verify(&post, "v", &first, PASSWORD).await.expect(401).code(), "code_invalid");
    post.app.login(ADA, OWN).await.expect(200);
}

/// Signs in on a device; returns the session and the cookie.
async fn sign_in(app: &TestApp, ip: &str, password: &str) -> (Value, String) {
    let reply = login(&app.from(ip, ""), ADA, password).await.expect(200);
    (reply.json(), cookie(&reply))
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_login_that_is_checked_while_a_role_is_taken_back_does_not_get_it(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register(ADA).await.expect(202);
    app.verified(ADA).await;
    // A token for all services would not say operator in any case.
    let grant = Grant { role: Role::Staff, ..grant() };
    app.auth.grant(&grant).await.unwrap();
    // The login has been checked and waits to begin its session; meanwhile the role is revoked.
    let mut held = app.db.begin().await.unwrap();
    sqlx::query("SELECT FROM member_password FOR UPDATE").execute(&mut *held).await.unwrap();
    let revoke = async {
        lock_waits(&app.db, 1).await;
        app.auth.revoke(&grant).await.unwrap();
        held.rollback().await.unwrap();
    };
    let ((session, _), ()) =
        futures::future::join(sign_in(&app, "192.0.2.1", PASSWORD), revoke).await;
    let token = session["access_token"].as_str().unwrap();
    let roles = app.auth.verifier().member(token).await.unwrap().roles;
    assert_eq!(roles, [Role::Member]);
    refresh(&app.api, &session, "phone").await.expect(200);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn who_has_not_chosen_the_password_since_the_verification_gets_no_role(db: PgPool) {
    let post = Post::new(db).await;
    let app = &post.app;
    app.register(ADA).await.expect(202);
    app.verified(ADA).await;
    let old = "UPDATE member_password SET changed_at = changed_at - interval '1 day'";
    sqlx::query(old).execute(&app.db).await.unwrap();
    let refused = app.auth.grant(&grant()).await.unwrap_err();
    assert!(refused.to_string().contains("reset the password first"), "{refused}");
    post.quiet().await;
    let before = post.mails().len();
    post.ask("/v1/password/forgot", "f", json!({ "email": ADA })).await.expect(202);
    let code = post.code(before + 1).await;
    let body = json!({ "email": ADA, "code": code, "new_password": OWN });
    post.ask("/v1/password/reset", "r", body).await.expect(200);
    app.auth.grant(&grant()).await.unwrap();
    assert_eq!(app.count("member_role").await, 1);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_role_of_an_address_that_nobody_has_verified_is_in_no_token(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register(ADA).await.expect(202);
    let sql = "INSERT INTO member_role (member_id, role, granted_at)
               SELECT member_id, 'merchant_admin', now() FROM member";
    sqlx::query(sql).execute(&app.db).await.unwrap();
    let session = app.session(ADA).await;
    let renewed = app.refresh(&session).await.expect(200).json();
    for session in [&session, &renewed] {
        let token = session["access_token"].as_str().unwrap();
        assert_eq!(app.auth.verifier().member(token).await.unwrap().roles, [Role::Member]);
    }
}
