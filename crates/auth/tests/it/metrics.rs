//! What operators watch.

use sqlx::PgPool;

use crate::app::{PASSWORD, TestApp, metric};

const SERIES: [&str; 14] = [
    "auth_login_total{status=\"success\"}",
    "auth_login_total{status=\"failed\"}",
    "auth_login_total{status=\"blocked\"}",
    "auth_login_duration_seconds_count",
    "auth_register_total{status=\"success\"}",
    "auth_register_total{status=\"failed\"}",
    "auth_token_refresh_total",
    "auth_token_validation_total{status=\"valid\"}",
    "auth_token_validation_total{status=\"expired\"}",
    "auth_token_validation_total{status=\"invalid\"}",
    "auth_active_sessions",
    "auth_failed_login_attempts_total{reason=\"wrong_password\"}",
    "auth_failed_login_attempts_total{reason=\"user_not_found\"}",
    "auth_failed_login_attempts_total{reason=\"account_locked\"}",
];

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn every_series_is_there_at_zero_before_anything_happens(db: PgPool) {
    let _app = TestApp::new(db).await;
    for series in SERIES {
        assert_eq!(metric(series), 0.0, "{series}");
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn logins_are_counted_by_what_came_of_them(db: PgPool) {
    let app = TestApp::new(db).await;
    app.member("ada@example.org").await;
    app.register("Ada@example.org").await.expect(202);
    app.login("ada@example.org", "wrong").await.expect(401);
    app.login("ada@example.org", PASSWORD).await.expect(200);
    for _ in 0..6 {
        app.login("eve@example.org", "wrong").await;
    }

    assert_eq!(metric("auth_register_total{status=\"success\"}"), 1.0);
    assert_eq!(metric("auth_register_total{status=\"duplicate\"}"), 1.0);
    assert_eq!(metric("auth_login_total{status=\"success\"}"), 2.0);
    assert_eq!(metric("auth_login_total{status=\"failed\"}"), 6.0);
    assert_eq!(metric("auth_login_total{status=\"blocked\"}"), 1.0);
    assert_eq!(metric("auth_login_duration_seconds_count"), 9.0);
    assert_eq!(metric("auth_failed_login_attempts_total{reason=\"wrong_password\"}"), 1.0);
    assert_eq!(metric("auth_failed_login_attempts_total{reason=\"user_not_found\"}"), 5.0);
    assert_eq!(metric("auth_failed_login_attempts_total{reason=\"account_locked\"}"), 1.0);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn active_sessions_are_counted_in_the_database(db: PgPool) {
    let app = TestApp::new(db).await;
    app.member("ada@example.org").await;
    app.token("ada@example.org").await;
    sqlx::query("UPDATE session SET created_at = now() - interval '1 h', expires_at = now() WHERE session_id = (SELECT max(session_id::text)::uuid FROM session)")
        .execute(&app.db)
        .await
        .unwrap();

    let stop = tokio_util::sync::CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    app.auth.keep_house(&stop);
    let counted = || async { (metric("auth_active_sessions") == 1.0).then_some(()) };
    testkit::eventually(std::time::Duration::from_secs(5), counted).await;
}
