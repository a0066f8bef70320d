//! Registration and login.

use auth::hasher::Hasher;
use kit::Clock;
use serde_json::json;
use sqlx::PgPool;
use testkit::http::Api;

use crate::app::{PASSWORD, TestApp, open};

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_stranger_registers_signs_in_and_sees_themselves(db: PgPool) {
    let app = TestApp::new(db).await;

    let accepted = app.register("Ada@Example.org").await.expect(202);
    assert_eq!(accepted.json(), json!({ "status": "accepted" }));

    let login = app.login("ada@example.org", PASSWORD).await.expect(200);
    assert_eq!(login.header("cache-control"), "no-store");
    let body = login.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(300)));

    let token = body["access_token"].as_str().unwrap();
    let me = app.api.get("/v1/me").bearer(token).send().await.expect(200).json();
    assert_eq!(me["member_id"], body["member_id"]);
    assert_eq!(me["email"], "ada@example.org");
    assert_eq!(me["display_name"], "Ada");
    assert_eq!(me["roles"], json!(["member"]));
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn registering_does_not_tell_who_is_a_member(db: PgPool) {
    let app = TestApp::new(db).await;
    let fresh = app.register("ada@example.org").await.expect(202);
    let token = app.token("ada@example.org").await;

    let other = json!({ "email": "ADA@example.org.", "password": "another password", "display_name": "Eve" });
    let known = app.api.post("/v1/register").key("second").json(other).send().await.expect(202);

    assert_eq!(known.body, fresh.body);
    let names = |reply: &testkit::http::Reply| {
        reply.headers.keys().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&known), names(&fresh));
    // The account has not changed.
    app.login("ada@example.org", "another password").await.expect(401);
    app.login("ada@example.org", PASSWORD).await.expect(200);
    let me = app.api.get("/v1/me").bearer(&token).send().await.expect(200).json();
    assert_eq!(me["display_name"], "Ada");
    assert_eq!(app.count("member").await, 1);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn registering_twice_at_once_makes_one_member(db: PgPool) {
    let app = TestApp::new(db).await;
    let register = |n: usize| {
        let body =
            json!({ "email": "ada@example.org", "password": PASSWORD, "display_name": "Ada" });
        app.api.post("/v1/register").key(&format!("key {n}")).json(body).send()
    };
    for reply in futures::future::join_all((0..8).map(register)).await {
        reply.expect(202);
    }
    assert_eq!(app.count("member").await, 1);
    assert_eq!(app.count("member_password").await, 1);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_repeated_registration_is_answered_again(db: PgPool) {
    let app = TestApp::new(db).await;
    let first = app.register("ada@example.org").await.expect(202);
    let again = app.register("ada@example.org").await.expect(202);
    assert_eq!(again.body, first.body);
    assert_eq!(
        (first.header("idempotency-replayed"), again.header("idempotency-replayed")),
        ("", "true")
    );

    let other = json!({ "email": "ada@example.org", "password": "another password", "display_name": "Ada" });
    let reused =
        app.api.post("/v1/register").key("register ada@example.org").json(other).send().await;
    assert_eq!(reused.expect(422).code(), "idempotency_key_reused");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn what_is_kept_of_a_registration_does_not_help_to_guess_its_password(db: PgPool) {
    let fingerprint = |fill: u8| {
        let db = db.clone();
        async move {
            sqlx::query("DELETE FROM signing_key").execute(&db).await.unwrap();
            sqlx::query("DELETE FROM idempotency_key").execute(&db).await.unwrap();
            let auth = open(&db, Clock::system(), Hasher::new(), fill).await.unwrap();
            let app = TestApp { api: Api::new(auth::http::router(auth.clone())), auth, db };
            app.register("ada@example.org").await.expect(202);
            let sql = "SELECT fingerprint FROM idempotency_key";
            sqlx::query_scalar::<_, Vec<u8>>(sql).fetch_one(&app.db).await.unwrap()
        }
    };
    // Under another key the same request leaves another fingerprint, so a password cannot be found by trying without
    // the key.
    assert_ne!(fingerprint(1).await, fingerprint(2).await);
    assert_eq!(fingerprint(1).await, fingerprint(1).await);
    let hash: String =
        sqlx::query_scalar("SELECT hash FROM member_password").fetch_one(&db).await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
}
