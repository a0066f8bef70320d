//! Alertmanager repeats a delivery after a 5xx only.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testkit::postgres::app_pool;
use tokio::net::TcpListener;

use crate::app::{TestApp, firing};

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_database_that_is_away_means_try_again(db: PgPool) {
    // Nobody listens at a port that was free a moment ago.
    let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    drop(socket);
    let nowhere = (*db.connect_options()).clone().host("127.0.0.1").port(port);
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_millis(300));
    let away = TestApp::on(pool.connect_lazy_with(nowhere), db.clone());

    let reply = away.deliver(&[firing("a")]).await.expect(503);
    assert_eq!(reply.code(), "database_unavailable");
    assert!(reply.header("retry-after").parse::<u32>().unwrap() >= 1);

    // After the outage, the repetition is one incident.
    let back = TestApp::new(db);
    back.deliver(&[firing("a")]).await.expect(200);
    assert_eq!(back.incidents().await.len(), 1);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_delivery_is_kept_whole_or_not_at_all(db: PgPool) {
    let app = TestApp::new(db);
    sqlx::query("REVOKE INSERT ON incident FROM incidents_app").execute(&app.db).await.unwrap();

    app.deliver(&[firing("a")]).await.expect(500);

    for table in ["alert_delivery", "alert", "incident"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
    sqlx::query("GRANT INSERT ON incident TO incidents_app").execute(&app.db).await.unwrap();
    app.deliver(&[firing("a")]).await.expect(200);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn the_role_can_take_nothing_back(db: PgPool) {
    let role = app_pool(&db, "incidents_app");
    for statement in [
        "DELETE FROM alert_delivery",
        "UPDATE alert_delivery SET payload = ''",
        "DELETE FROM alert",
        "UPDATE alert SET labels = '{}'",
        "DELETE FROM incident",
        "UPDATE incident SET number = 'INC-2026-0001'",
        "DELETE FROM incident_event",
        "UPDATE incident_event SET text = 'nothing happened'",
        "DELETE FROM incident_severity",
    ] {
        let error = sqlx::query(statement).execute(&role).await.expect_err(statement);
        let code = error.as_database_error().unwrap().code().unwrap().into_owned();
        assert_eq!(code, "42501", "{statement}");
    }
}
