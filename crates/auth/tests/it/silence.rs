//! Logs, metrics and answers hold nothing secret or personal.

use auth::hasher::Hasher;
use kit::Clock;
use sqlx::PgPool;

use crate::app::{PASSWORD, TestApp};
use crate::recording::Recording;

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn no_address_password_or_token_is_logged_counted_or_answered(db: PgPool) {
    let recording = Recording::start("trace,sqlx=debug");

    let app = TestApp::with(db, Clock::system(), Hasher::with(1, 0)).await;
    app.register("canary.address@example.org").await.expect(202);
    let session = app.session("canary.address@example.org").await;
    let token = session["access_token"].as_str().unwrap().to_owned();
    let refreshed = app.refresh(&session).await.expect(200).json();
    let refresh = refreshed["refresh_token"].as_str().unwrap();
    app.api.get("/v1/me").bearer(&token).send().await.expect(200);
    app.api.get(&format!("/v1/me?access_token={token}")).send().await.expect(401);
    let mut replies = Vec::new();
    for _ in 0..6 {
        replies.push(app.login("canary.address@example.org", "canary-guess").await);
    }
    replies.push(app.login("canary.nobody@example.org", "canary-guess").await);
    replies.push(app.login("canary.malformed@", "canary-guess").await);
    for (path, body) in [
        ("/v1/password/forgot", serde_json::json!({ "email": "canary.address@example.org" })),
        ("/v1/verification/resend", serde_json::json!({ "email": "canary.nobody@example.org" })),
    ] {
        replies.push(app.api.post(path).key("k").json(body).send().await.expect(202));
    }
    // An internal error whose text would quote the statement's values.
    sqlx::query("ALTER TABLE member DROP CONSTRAINT member_email_unique")
        .execute(&app.db)
        .await
        .unwrap();
    replies.push(app.register("canary.broken@example.org").await.expect(500));
    let logged = recording.end().log;

    assert!(logged.contains("signed_in") && logged.contains("request failed"), "{logged}");
    let metrics = String::from_utf8(observability::metrics::render().1).unwrap();
    let answers: String = replies.iter().map(|reply| reply.text()).collect();
    for (place, text) in [("log", logged), ("metrics", metrics), ("answers", answers)] {
        for secret in ["canary", PASSWORD, token.as_str(), refresh] {
            let found = text.lines().find(|line| line.contains(secret));
            assert_eq!(found, None, "{place}");
        }
    }
}
