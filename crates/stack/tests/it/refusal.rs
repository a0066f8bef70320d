//! What stands in the way is said before anything starts.

use std::net::{Ipv4Addr, TcpListener};

use sqlx::{ConnectOptions, Connection, Executor};
use stack::ready::superuser;

use crate::bench::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn taken_ports_and_missing_tools_are_named_at_once_and_nothing_starts() {
    let mut bench = Bench::new("refusal").await;
    let taken = [bench.ports.service("auth").http, bench.ports.redis]
        .map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
    bench.set("PATH", "/nowhere");
    let said = bench.run(&["up"]).await;

    assert_eq!(said.code, 1);
    let me = format!("(pid {})", std::process::id());
    for (variable, listener) in ["AUTH_HTTP_PORT", "REDIS_PORT"].iter().zip(&taken) {
        let port = listener.local_addr().unwrap().port();
        let line = said.err.lines().find(|line| line.contains(variable));
        let line = line.unwrap_or_else(|| panic!("{variable}: {}", said.err));
        assert!(line.contains(&format!("port {port} is taken by")), "{line}");
        assert!(line.contains(&me), "{line}");
    }
    assert!(said.err.contains("redis-server is missing"), "{}", said.err);
    assert!(said.err.contains("prometheus is missing"), "{}", said.err);
    assert!(said.err.contains("install"), "{}", said.err);
    assert!(!bench.place.data().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_refuses_to_start_on_a_pending_migration_and_names_the_command() {
    let bench = Bench::new("pending").await;
    bench.up().await;
    bench.ok(&["migrate", "points", "down", "1"]).await;
    assert!(bench.ok(&["migrate", "points", "status"]).await.contains("pending"));

    // The restart fails, so `stack restart` would wait for long: the log is what an operator reads.
    let mut restart = bench.command(&["restart", "points"]).spawn().unwrap();
    crate::bench::within(std::time::Duration::from_secs(20), "the log says why", || async {
        bench.ok(&["logs", "points"]).await.contains("run `make migrate-up SERVICE=points`")
    })
    .await;
    assert!(!bench.is_ready("points"));

    bench.ok(&["migrate", "points", "up"]).await;
    assert!(restart.wait().await.unwrap().success());
    assert!(bench.is_ready("points"));
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_have_the_least_they_need() {
    let bench = Bench::new("roles").await;
    bench.up().await;
    let mut db = superuser(&bench.place, bench.ports.postgres).unwrap().connect().await.unwrap();
    let strangers: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_roles r, pg_database d
          WHERE r.rolname ~ '_(app|owner)$' AND NOT d.datistemplate
            AND split_part(r.rolname, '_', 1) <> d.datname
            AND has_database_privilege(r.oid, d.oid, 'CONNECT')",
    )
    .fetch_one(&mut db)
    .await
    .unwrap();
    assert_eq!(strangers, 0, "a role may connect to a foreign database");

    let url = stack::parts::postgres::url(&bench.place, bench.ports.postgres, "points", "app");
    let mut app = sqlx::PgConnection::connect(&url.unwrap()).await.unwrap();
    for forbidden in
        ["CREATE TABLE mine ()", "TRUNCATE outbox_event", "COPY (SELECT 1) TO PROGRAM 'cat'"]
    {
        let error = app.execute(forbidden).await.unwrap_err();
        let code = error.as_database_error().and_then(|e| e.code()).unwrap().into_owned();
        assert_eq!(code, "42501", "{forbidden}");
    }
    let limits: Vec<String> = sqlx::query_scalar(
        "SELECT current_setting(name) FROM unnest(ARRAY['statement_timeout', 'lock_timeout',
         'idle_in_transaction_session_timeout']) AS name",
    )
    .fetch_all(&mut app)
    .await
    .unwrap();
    assert_eq!(limits, ["2s", "500ms", "5s"]);
    for (setting, value) in [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
    ] {
        let now: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&mut app)
            .await
            .unwrap();
        assert_eq!(now, value, "{setting}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_one_line_and_at_once() {
    let bench = Bench::new("password").await;
    bench.up().await;
    let url = format!("postgres://points_app:hunter2@127.0.0.1:{}/points", bench.ports.postgres);
    let said = tokio::process::Command::new(bench.place.program("points"))
        .env_clear()
        .env("HTTP_LISTEN", "127.0.0.1:0")
        .env("GRPC_LISTEN", "127.0.0.1:0")
        .env("ADMIN_LISTEN", "127.0.0.1:0")
        .env("AUTH_GRPC_URL", "http://127.0.0.1:1")
        .env("SERVICE_CLIENT_ID", "points")
        .env("SERVICE_CLIENT_SECRET", "hunter3")
        .env("DATABASE_URL", url)
        .kill_on_drop(true)
        .output();
    // It waits ten seconds for a server that is away, and not at all for one that says no.
    let said =
        tokio::time::timeout(std::time::Duration::from_secs(8), said).await.unwrap().unwrap();
    let (out, err) =
        (String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap());
    assert_eq!(said.status.code(), Some(1), "{out}{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.contains("password authentication failed for user \"points_app\""), "{err}");
    assert!(!format!("{out}{err}").contains("hunter"), "{out}{err}");
}
