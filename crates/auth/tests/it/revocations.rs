//! A logout reaches every service, with and without Redis.

use std::time::Duration;

use kit::caller::{Refused, Verifier};
use kit::redis::Redis;
use sqlx::PgPool;
use testkit::eventually;
use testkit::redis::Server;
use tokio_util::sync::CancellationToken;

use crate::app::TestApp;

/// The verifier of another service, with auth's keys.
fn elsewhere(app: &TestApp, server: &Server) -> Verifier {
    let verifier = Verifier::empty("points", kit::Clock::system());
    let keys = app.auth.public_keys();
    verifier.set_keys(keys.iter().map(|key| (key.kid.clone(), key.bytes.clone())).collect());
    verifier.following(
        &Redis::new(&server.config_of("points"), "points", &testkit::redis::secret()).unwrap(),
    )
}

async fn is_refused(verifier: &Verifier, token: &str) -> Option<()> {
    (verifier.member(token).await.err() == Some(Refused::Revoked)).then_some(())
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_logout_is_heard_everywhere_and_again_after_redis_lost_it(db: PgPool) {
    let mut server = Server::start().await;
    let app = TestApp::beside(
        db,
        Redis::new(&server.config_of("auth"), "auth", &testkit::redis::secret()).unwrap(),
    )
    .await;
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    app.auth.keep_house(&stop);
    app.register("ada@example.org").await.expect(202);
    let (one, two) = (app.token("ada@example.org").await, app.token("ada@example.org").await);
    let points = elsewhere(&app, &server);
    points.member(&one).await.unwrap();

    app.api.delete("/v1/sessions/current").bearer(&one).send().await.expect(204);
    eventually(Duration::from_secs(1), || is_refused(&points, &one)).await;
    points.member(&two).await.unwrap();

    // Redis is killed, a logout follows, and Redis is back empty: a reader that starts then learns of both logouts.
    server.kill();
    app.api.delete("/v1/sessions/current").bearer(&two).send().await.expect(204);
    server.restart().await;
    eventually(Duration::from_secs(10), || is_refused(&points, &two)).await;
    let late = elsewhere(&app, &server);
    eventually(Duration::from_secs(1), || is_refused(&late, &one)).await;
    eventually(Duration::from_secs(1), || is_refused(&late, &two)).await;
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn replicas_of_auth_hear_of_a_logout_without_redis(db: PgPool) {
    let (one, two) = (TestApp::new(db.clone()).await, TestApp::new(db).await);
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    two.auth.keep_house(&stop);
    let token = one.member("ada@example.org").await;
    two.api.get("/v1/me").bearer(&token).send().await.expect(200);

    one.api.delete("/v1/sessions/current").bearer(&token).send().await.expect(204);
    let verifier = two.auth.verifier();
    eventually(Duration::from_secs(1), || is_refused(&verifier, &token)).await;
}
