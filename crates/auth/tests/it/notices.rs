//! Notices: mail to members about their accounts.

use auth::domain::Actor;
use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;
use testkit::eventually;
use uuid::Uuid;

use crate::app::PASSWORD;
use crate::mailing::Post;

const ADA: &str = "ada@example.org";
const NEW: &str = "a new and different password";

impl Post {
    /// Waits for mail to this address with this subject.
    async fn told(&self, to: &str, subject: &str) -> Vec<String> {
        eventually(Duration::from_secs(10), || async {
            let found = self.to(to, subject);
            (!found.is_empty()).then_some(found)
        })
        .await
    }

    fn to(&self, to: &str, subject: &str) -> Vec<String> {
        let (to, subject) = (format!("To: {to}"), format!("Subject: {subject}"));
        self.mails().into_iter().filter(|m| m.contains(&to) && m.contains(&subject)).collect()
    }

    async fn member(&self, email: &str) -> Uuid {
        let sql = "SELECT member_id FROM member WHERE email = $1";
        sqlx::query_scalar(sql).bind(email).fetch_one(&self.app.db).await.unwrap()
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_changed_password_is_told_whichever_way_it_was_changed(db: PgPool) {
    let post = Post::new(db).await;
    let token = post.app.member(ADA).await;
    let body = json!({ "current_password": PASSWORD, "new_password": NEW });
    let change = post.app.api.post("/v1/password").bearer(&token).key("k").json(&body);
    change.clone().send().await.expect(200);
    change.send().await.expect(200); // a repetition is told once
    post.told(ADA, "Your password was changed").await;

    post.ask("/v1/password/forgot", "f", json!({ "email": ADA })).await.expect(202);
    let code = post.code(3).await;
    let body = json!({ "email": ADA, "code": code, "new_password": PASSWORD });
    post.ask("/v1/password/reset", "r", body).await.expect(200);
    post.quiet().await;
    assert_eq!(post.to(ADA, "Your password was changed").len(), 2);

    // A guess that fails changes and tells nothing.
    let token = post.app.token(ADA).await;
    let body = json!({ "current_password": "wrong", "new_password": NEW });
    post.app.api.post("/v1/password").bearer(&token).key("w").json(body).send().await.expect(401);
    post.quiet().await;
    assert_eq!(post.to(ADA, "Your password was changed").len(), 2);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_copied_session_is_told_once(db: PgPool) {
    let post = Post::new(db).await;
    post.app.register(ADA).await.expect(202);
    let first = post.app.session(ADA).await;
    let second = post.app.refresh(&first).await.expect(200).json();
    post.app.refresh(&second).await.expect(200);
    for code in ["refresh_token_reused", "session_revoked"] {
        assert_eq!(post.app.refresh(&first).await.expect(401).code(), code);
    }
    post.told(ADA, "You were signed out on a device").await;
    post.quiet().await;
    assert_eq!(post.to(ADA, "You were signed out on a device").len(), 1);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_closed_account_is_told_and_that_it_works_again(db: PgPool) {
    let post = Post::new(db).await;
    post.app.register(ADA).await.expect(202);
    let member = post.member(ADA).await;
    for _ in 0..2 {
        post.app.auth.disable(member, Actor::CommandLine).await.unwrap();
    }
    post.told(ADA, "Your account was disabled").await;
    post.app.auth.enable(member, Actor::CommandLine).await.unwrap();
    post.told(ADA, "Your account works again").await;
    post.quiet().await;
    assert_eq!(post.to(ADA, "Your account was disabled").len(), 1);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_lock_is_told_to_the_owner_once_a_day_and_to_nobody_else(db: PgPool) {
    let post = Post::new(db).await;
    post.app.register(ADA).await.expect(202);
    let subject = "Somebody tried to sign in to your account";
    for email in [ADA, "eve@example.org"] {
        for _ in 0..4 {
            post.app.login(email, "wrong").await.expect(401);
        }
    }
    post.quiet().await;
    assert_eq!(post.to(ADA, subject).len(), 0, "four are no lock");
    let events = |db: PgPool| async move {
        let sql = "SELECT count(*) FROM outbox_event WHERE kind = 'mail.notice'";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&db).await.unwrap()
    };
    for email in [ADA, "eve@example.org"] {
        post.app.login(email, "wrong").await.expect(401);
        post.app.login(email, "wrong").await.expect(429);
    }
    // An unknown address takes the same work.
    assert_eq!(events(post.app.db.clone()).await, 2);
    post.told(ADA, subject).await;
    post.quiet().await;

    // The next lock, an hour later.
    sqlx::query("UPDATE login_attempt SET window_ends_at = now()")
        .execute(&post.app.db)
        .await
        .unwrap();
    for _ in 0..5 {
        post.app.login(ADA, "wrong").await.expect(401);
    }
    post.app.login(ADA, "wrong").await.expect(429);
    post.quiet().await;
    assert_eq!(events(post.app.db.clone()).await, 3);
    assert_eq!(post.to(ADA, subject).len(), 1);
    assert!(post.mails().iter().all(|mail| !mail.contains("eve@")));
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn no_address_lies_in_the_outbox_or_among_the_notices(db: PgPool) {
    let post = Post::new(db).await;
    post.app.register(ADA).await.expect(202);
    post.app.auth.disable(post.member(ADA).await, Actor::CommandLine).await.unwrap();
    for table in ["outbox_event", "mail_notice"] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
        let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&post.app.db).await.unwrap();
        assert!(!rows.is_empty());
        assert!(rows.iter().all(|row| !row.contains("ada@")), "{rows:?}");
    }
}
