//! Logs, metrics and answers hold nothing secret or personal.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use auth::hasher::Hasher;
use kit::Clock;
use observability::{Config, Sinks};
use sqlx::PgPool;

use crate::app::{PASSWORD, TestApp};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn no_address_password_or_token_is_logged_counted_or_answered(db: PgPool) {
    let log = Log::default();
    let sinks = Sinks { log: Some(Box::new(log.clone())), ..Sinks::default() };
    let config = Config { log_level: "trace,sqlx=debug".to_owned(), ..Config::default() };
    // It wants threads of its own, and the test has one.
    let threads = tokio::runtime::Runtime::new().unwrap();
    let entered = threads.enter();
    let guard = observability::init_with("auth", "0", &config, sinks).unwrap();
    drop(entered);

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
    drop(guard);
    threads.shutdown_background();

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
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
