//! The metrics of auth.

use sqlx::PgPool;

use crate::app::{PASSWORD, TestApp, metric};

/// Requirement O3: name, type, label, values. It leaves the values of registrations open.
const O3: [(&str, &str, &str, &[&str]); 7] = [
    ("auth_login_total", "counter", "status", &["blocked", "failed", "success"]),
    ("auth_login_duration_seconds", "histogram", "", &[]),
    ("auth_register_total", "counter", "status", &["duplicate", "failed", "success"]),
    ("auth_token_refresh_total", "counter", "", &[]),
    ("auth_token_validation_total", "counter", "status", &["expired", "invalid", "valid"]),
    ("auth_active_sessions", "gauge", "", &[]),
    (
        "auth_failed_login_attempts_total",
        "counter",
        "reason",
        &["account_locked", "user_not_found", "wrong_password"],
    ),
];

/// The other metrics of auth.
const MORE: [&str; 5] = [
    "auth_guessed_accounts",
    "auth_locks_total",
    "auth_password_hash_duration_seconds",
    "auth_refresh_reused_total",
    "auth_refused_secrets_total",
];

fn rendered() -> String {
    String::from_utf8(observability::metrics::render().1).unwrap()
}

/// The names of auth's families, with their types.
fn families(text: &str) -> Vec<(&str, &str)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE auth_"));
    types.map(|line| line.split_once(' ').unwrap()).collect()
}

/// The label sets of a family.
fn labels<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(name));
    let mut labels: Vec<_> = lines
        .filter(|rest| rest.starts_with(['{', ' ']))
        .map(|rest| rest.rsplit_once(' ').unwrap().0)
        .collect();
    labels.sort_unstable();
    labels
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn the_metrics_are_those_of_the_requirement_before_and_after_traffic(db: PgPool) {
    let app = TestApp::new(db).await;
    for traffic in [false, true] {
        if traffic {
            let session = {
                app.register("ada@example.org").await.expect(202);
                app.session("ada@example.org").await
            };
            app.refresh(&session).await.expect(200);
            app.auth.introspect("nonsense").await.unwrap();
            let token = session["access_token"].as_str().unwrap();
            app.auth.introspect(token).await.unwrap().unwrap();
            app.api.delete("/v1/sessions").bearer(token).send().await.expect(204);
            app.auth.introspect(token).await.unwrap();
            for _ in 0..6 {
                app.login("eve@example.org", "wrong").await;
            }
            for (status, count) in [("valid", 1.0), ("expired", 1.0), ("invalid", 1.0)] {
                let series = format!("auth_token_validation_total{{status=\"{status}\"}}");
                assert_eq!(metric(&series), count, "{series}");
            }
            assert_eq!(metric("auth_token_refresh_total"), 1.0);
        }
        let text = rendered();
        let names: Vec<_> =
            families(&text).into_iter().map(|(name, _)| format!("auth_{name}")).collect();
        let mut wanted: Vec<_> = O3.iter().map(|(name, ..)| *name).chain(MORE).collect();
        wanted.sort_unstable();
        assert_eq!(names, wanted);
        for (name, kind, label, values) in O3 {
            let found = families(&text).into_iter().find(|(family, _)| name[5..] == **family);
            assert_eq!(found.map(|(_, kind)| kind), Some(kind), "{name}");
            let sets = values.iter().map(|value| format!("{{{label}=\"{value}\"}}"));
            let sets: Vec<_> = if values.is_empty() { vec![String::new()] } else { sets.collect() };
            let series =
                if kind == "histogram" { format!("{name}_count") } else { name.to_owned() };
            assert_eq!(labels(&text, &series), sets, "{name}");
        }
    }
}

const SERIES: [&str; 22] = [
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
    "auth_guessed_accounts",
    "auth_locks_total{secret=\"password\"}",
    "auth_locks_total{secret=\"code\"}",
    "auth_refresh_reused_total",
    "auth_refused_secrets_total{secret=\"current_password\"}",
    "auth_refused_secrets_total{secret=\"mail_code\"}",
    "auth_refused_secrets_total{secret=\"refresh_token\"}",
    "auth_refused_secrets_total{secret=\"client_secret\"}",
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

    let _jobs = app.start_jobs();
    let counted = || async { (metric("auth_active_sessions") == 1.0).then_some(()) };
    testkit::eventually(std::time::Duration::from_secs(5), counted).await;
}
