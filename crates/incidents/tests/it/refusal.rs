//! Configurations that the service refuses to start with.

use std::process::Stdio;

use tokio::process::Command;

/// Runs the program with these variables only. Returns its exit code and its last line.
async fn start(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_incidents"))
        .env_clear()
        .envs([
            ("HTTP_LISTEN", "127.0.0.1:0"),
            ("GRPC_LISTEN", "127.0.0.1:0"),
            ("ADMIN_LISTEN", "127.0.0.1:0"),
            ("AUTH_GRPC_URL", "http://127.0.0.1:1"),
            ("SERVICE_CLIENT_ID", "incidents"),
            ("SERVICE_CLIENT_SECRET", "hunter2"),
            ("WEBHOOK_TOKEN", "what-alertmanager-brings"),
            // A program that gets as far as the database fails at once.
            ("DATABASE_URL", "postgres://incidents_app@127.0.0.1:1/incidents?hunter2"),
        ])
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(!said.contains("hunter2"), "{said}");
    (ended.status.code(), said.lines().last().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn production_does_not_start_where_nobody_would_be_woken() {
    let production = ("DEPLOYMENT_ENVIRONMENT", "production");
    let slack = ("SLACK_ALERTS_URL", "https://hooks.example/hunter2");
    let (p0, p1) = (("NOTIFY_P0", "slack-alerts"), ("NOTIFY_P1", "log,slack-alerts"));
    let here = ("PUBLIC_URL", "https://incidents.example");
    for (variables, names) in [
        (vec![production], "NOTIFY_P0"),
        (vec![("DEPLOYMENT_ENVIRONMENT", "Prod")], "NOTIFY_P0"),
        (vec![production, here, slack, p0], "NOTIFY_P1"),
        (vec![production, here, slack, ("NOTIFY_P0", "log,log"), p1], "NOTIFY_P0"),
        (vec![production, slack, p0, p1], "PUBLIC_URL"),
    ] {
        let (code, said) = start(&variables).await;
        assert_eq!(code, Some(64), "{said}");
        assert!(said.starts_with(&format!("error: {names} ")), "{said}");
        assert!(said.contains("DEPLOYMENT_ENVIRONMENT"), "{said}");
    }
    // In other environments, and with a channel, it gets as far as the database.
    for variables in [
        vec![("DEPLOYMENT_ENVIRONMENT", "staging")],
        vec![production, here, slack, p0, p1, ("NOTIFY_P2", "log")],
    ] {
        let (code, said) = start(&variables).await;
        assert_eq!(code, Some(1), "{said}");
    }
}
