//! A logout reaches every service, with and without Redis.

use std::time::Duration;

use kit::caller::{Refused, Verifier};
use sqlx::PgPool;
use testkit::eventually;
use testkit::redis::Server;

use crate::app::{TestApp, redis};

async fn is_refused(verifier: &Verifier, token: &str) -> Option<()> {
    (verifier.member(token).await.err() == Some(Refused::Revoked)).then_some(())
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_logout_is_heard_everywhere_and_again_after_redis_lost_it(db: PgPool) {
    let mut server = Server::start().await;
    let app = TestApp::beside(db, &server).await;
    let _jobs = app.start_jobs();
    app.register("ada@example.org").await.expect(202);
    let (one, two) = (app.token("ada@example.org").await, app.token("ada@example.org").await);
    let points = app.verifier_of("points").following(&redis(&server, "points"));
    points.member(&one).await.unwrap();

    app.api.delete("/v1/sessions/current").bearer(&one).send().await.expect(204);
    eventually(Duration::from_secs(1), || is_refused(&points, &one)).await;
    points.member(&two).await.unwrap();

    // Redis is killed, a logout follows, and Redis is back empty: a reader that starts then learns of both logouts.
    server.kill();
    app.api.delete("/v1/sessions/current").bearer(&two).send().await.expect(204);
    server.restart().await;
    eventually(Duration::from_secs(10), || is_refused(&points, &two)).await;
    let late = app.verifier_of("points").following(&redis(&server, "points"));
    eventually(Duration::from_secs(1), || is_refused(&late, &one)).await;
    eventually(Duration::from_secs(1), || is_refused(&late, &two)).await;
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn replicas_of_auth_hear_of_a_logout_without_redis(db: PgPool) {
    let (one, two) = (TestApp::new(db.clone()).await, TestApp::new(db).await);
    let _jobs = two.start_jobs();
    let token = one.member("ada@example.org").await;
    two.api.get("/v1/me").bearer(&token).send().await.expect(200);

    one.api.delete("/v1/sessions/current").bearer(&token).send().await.expect(204);
    let verifier = two.auth.verifier();
    eventually(Duration::from_secs(1), || is_refused(&verifier, &token)).await;
}
