//! Rollbacks: approval, order of steps, attempts, and the record.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;
use incidents::app::{Incidents, Policy};
use incidents::executor::Executor;
use kit::Clock;
use kit::caller::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::eventually;
use testkit::postgres::app_pool;

use crate::app::{TestApp, firing, labelled, resolved};
use crate::sources::Stub;

/// A program of the operator's, as a shell script in a directory of its own; it records its calls.
struct Script {
    dir: PathBuf,
}

impl Script {
    fn new(name: &str, body: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("rollback-{name}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let script = Self { dir };
        let text = format!("#!/bin/sh\ncd {}\necho \"$*\" >>calls\n{body}\n", script.dir.display());
        fs::write(script.path(), text).unwrap();
        fs::set_permissions(script.path(), fs::Permissions::from_mode(0o755)).unwrap();
        script
    }

    fn path(&self) -> PathBuf {
        self.dir.join("run")
    }

    fn command(&self) -> Policy {
        self.command_of(Policy::default())
    }

    fn command_of(&self, policy: Policy) -> Policy {
        let words = vec![self.path().display().to_string(), "rollback".to_owned()];
        Policy { executor: Some(Executor::Command(words)), ..policy }
    }

    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// Rolls points back and waits until the run has ended.
async fn roll_back(app: &TestApp, id: &str) -> Value {
    app.act(id, "rollbacks", json!({ "service": "points" })).await.expect(200);
    ended(app, id).await
}

async fn ended(app: &TestApp, id: &str) -> Value {
    eventually(Duration::from_secs(15), || async {
        let run = app.incident(id).await["rollbacks"][0].clone();
        (!run.is_null() && run["status"] != "running").then_some(run)
    })
    .await
}

fn steps(run: &Value) -> Vec<(i64, &str, bool)> {
    run["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["attempt"].as_i64().unwrap(), s["step"].as_str().unwrap(), s["ok"] == true))
        .collect()
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_approved_rollback_goes_through_its_steps_and_is_recorded(db: PgPool) {
    let script = Script::new("well", "echo points-v1");
    let app = TestApp::policed(db, script.command());
    let id = app.open(&firing("a")).await;
    assert_eq!(app.incident(&id).await["can_roll_back"], json!(["points"]));
    let run = roll_back(&app, &id).await;
    assert_eq!(
        steps(&run),
        ["validate", "prepare", "perform", "verify", "record"].map(|step| (1, step, true))
    );
    assert_eq!((&run["status"], &run["target"]), (&json!("succeeded"), &json!("points-v1")));
    assert!(run["approved_by"].is_string());
    assert_eq!(script.calls().first().unwrap(), "rollback validate points");
    let incident = app.incident(&id).await;
    assert_eq!(incident["status"], "monitoring");
    let told = incident["timeline"].as_array().unwrap();
    assert_eq!(told.iter().filter(|event| event["kind"] == "rollback").count(), 7);
    assert_eq!(app.count("outbox_event WHERE kind = 'incident.rollback'").await, 1);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn the_live_version_goes_on_while_the_one_before_cannot_be_proven(db: PgPool) {
    let script =
        Script::new("unproven", "case $2 in validate) echo 'no such version' >&2; exit 1;; esac");
    let app = TestApp::policed(db, script.command());
    let id = app.open(&firing("a")).await;
    let run = roll_back(&app, &id).await;
    assert_eq!(steps(&run), [1, 2, 3].map(|attempt| (attempt, "validate", false)));
    assert_eq!((&run["status"], &run["attempts"]), (&json!("failed"), &json!(3)));
    assert!(run["steps"][0]["detail"].as_str().unwrap().contains("no such version"));
    assert!(!script.calls().iter().any(|call| call.contains("perform")));
    assert_eq!(app.incident(&id).await["status"], "investigating");
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_failed_step_begins_again_at_most_three_times(db: PgPool) {
    let sick_once = "case $2 in verify) [ -e sick ] && exit 0; touch sick; exit 1;; esac";
    let script = Script::new("sick", sick_once);
    let app = TestApp::policed(db.clone(), script.command());
    let id = app.open(&firing("a")).await;
    let run = roll_back(&app, &id).await;
    let found = steps(&run);
    assert_eq!(found.len(), 4 + 5);
    assert_eq!((found[3], found[4]), ((1, "verify", false), (2, "validate", true)));
    assert_eq!(run["status"], "succeeded");

    let never = Script::new("never", "case $2 in perform) exit 1;; esac");
    let app = TestApp::policed(db, never.command());
    let other = app.open(&firing("b")).await;
    let run = roll_back(&app, &other).await;
    assert_eq!((&run["status"], &run["attempts"]), (&json!("failed"), &json!(3)));
    assert_eq!(never.calls().iter().filter(|call| call.contains("perform")).count(), 3);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn nothing_is_rolled_back_that_nobody_approved(db: PgPool) {
    let script = Script::new("refused", "echo v1");
    let app = TestApp::policed(db.clone(), script.command());
    let id = app.open(&firing("a")).await;
    let member = app.issuer.with_roles(Clock::system().id(), &[Role::Member]);
    let path = format!("/v1/incidents/{id}/rollbacks");
    let body = json!({ "service": "points" });
    app.api.post(&path).bearer(&member).key("k").json(&body).send().await.expect(403);
    app.api.post(&path).key("k").json(&body).send().await.expect(401);
    for service in ["incidents", "postgres", "points; rm -rf /", "../points"] {
        let reply = app.act(&id, "rollbacks", json!({ "service": service })).await.expect(422);
        assert_eq!(reply.code(), "not_to_roll_back", "{service}");
    }
    assert_eq!(script.calls(), Vec::<String>::new());
    app.deliver(&[resolved(&firing("a"))]).await.expect(200);
    assert_eq!(app.act(&id, "rollbacks", body.clone()).await.expect(422).code(), "incident_over");

    let without = TestApp::new(db);
    let id = without.open(&firing("b")).await;
    let reply = without.act(&id, "rollbacks", body).await.expect(422);
    assert_eq!(reply.code(), "rollback_not_configured");
    assert_eq!(without.incident(&id).await["can_roll_back"], json!([]));
}

/// An alert that asks for a rollback, and a service that allows it when the alert fires at Prometheus.
async fn automatic(db: &PgPool, script: &Script, policy: Policy) -> (TestApp, Stub) {
    let stub = Stub::open(Clock::system().now()).await;
    let sources = Some(stub.sources.clone());
    (TestApp::policed(db.clone(), Policy { sources, ..script.command_of(policy) }), stub)
}

fn asks(name: &str, how: &str) -> Value {
    let labels =
        json!({ "alertname": name, "service": "points", "severity": "critical", "rollback": how });
    labelled(name, labels)
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_alert_of_prometheus_may_ask_for_it_where_that_is_allowed(db: PgPool) {
    let script = Script::new("automatic", "echo v1");
    let allowed = Policy { automatic_rollback: true, ..Policy::default() };
    let (app, stub) = automatic(&db, &script, allowed).await;
    let (yes, other) = (asks("yes", "automatic"), asks("other", "manual"));
    stub.fires(&[&yes, &other]);
    app.deliver(&[other]).await.expect(200);
    assert_eq!(app.count("rollback_run").await, 0);
    let id = app.open(&yes).await;
    let run = ended(&app, &id).await;
    assert_eq!((&run["status"], &run["approved_by"]), (&json!("succeeded"), &Value::Null));
    // A repeated delivery does not begin it again.
    app.deliver(&[yes]).await.expect(200);
    assert_eq!(app.count("rollback_run").await, 1);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn nobody_but_prometheus_begins_a_rollback(db: PgPool) {
    let script = Script::new("forged", "echo v1");
    let allowed = Policy { automatic_rollback: true, ..Policy::default() };
    let (app, stub) = automatic(&db, &script, allowed.clone()).await;
    // A forged alert, and a real one with an added label.
    app.deliver(&[asks("made up", "automatic")]).await.expect(200);
    let mut plain = asks("true", "automatic");
    plain["labels"].as_object_mut().unwrap().remove("rollback");
    stub.fires(&[&plain]);
    app.deliver(&[asks("true", "automatic")]).await.expect(200);
    // Without Prometheus, and without the permission, which is the default.
    let alone = TestApp::policed(db.clone(), script.command_of(allowed));
    alone.deliver(&[asks("alone", "automatic")]).await.expect(200);
    let (by_default, stub) = automatic(&db, &script, Policy::default()).await;
    stub.fires(&[&asks("default", "automatic")]);
    by_default.deliver(&[asks("default", "automatic")]).await.expect(200);
    assert_eq!(app.count("incident").await, 4);
    assert_eq!(app.count("rollback_run").await, 0);
    assert_eq!(script.calls(), Vec::<String>::new());
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn one_service_is_rolled_back_once_at_a_time_and_a_lost_run_is_given_up(db: PgPool) {
    let script = Script::new("slow", "while [ ! -e go ]; do sleep 0.05; done");
    let app = TestApp::policed(db.clone(), script.command());
    let id = app.open(&firing("a")).await;
    app.act(&id, "rollbacks", json!({ "service": "points" })).await.expect(200);
    let twice = app.act(&id, "rollbacks", json!({ "service": "points" })).await.expect(409);
    assert_eq!(twice.code(), "rollback_running");

    // Its process has been silent for a while.
    let clock = Clock::fixed(Clock::system().now() + TimeDelta::minutes(5));
    let later = Incidents::new(app_pool(&db, "incidents_app"), clock, script.command());
    assert_eq!(later.give_up_rollbacks().await.unwrap(), 1);
    assert_eq!(later.give_up_rollbacks().await.unwrap(), 0);
    assert_eq!(app.incident(&id).await["rollbacks"][0]["status"], "interrupted");
    // When the process goes on, it stops before the next step.
    fs::write(script.dir.join("go"), "").unwrap();
    eventually(Duration::from_secs(5), || async {
        let run = app.incident(&id).await["rollbacks"][0].clone();
        (run["steps"][0]["ok"] == true).then_some(())
    })
    .await;
    let again = app.act(&id, "rollbacks", json!({ "service": "points" })).await.expect(200);
    assert_eq!(again.json()["rollbacks"].as_array().unwrap().len(), 2);
    assert_eq!(app.incident(&id).await["rollbacks"][0]["steps"].as_array().unwrap().len(), 1);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_dry_run_says_what_it_would_do(db: PgPool) {
    let policy = Policy { executor: Some(Executor::DryRun), ..Policy::default() };
    let app = TestApp::policed(db, policy);
    let id = app.open(&firing("a")).await;
    let run = roll_back(&app, &id).await;
    assert_eq!(run["status"], "succeeded");
    assert_eq!(run["steps"][2]["detail"], "would perform points");
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn kubernetes_is_asked_to_undo_a_rollout_that_keeps_every_live_pod(db: PgPool) {
    let body = r#"case "$*" in
      *"get deployment"*) echo "{\"metadata\":{\"uid\":\"u\"},\"spec\":{\"strategy\":{\"rollingUpdate\":{\"maxUnavailable\":$(cat unavailable)}}}}";;
      *"get replicasets"*)
        for r in "1 u v1" "3 u v3" "2 u v2" "9 other v9"; do set -- $r
          items="$items,{\"metadata\":{\"ownerReferences\":[{\"uid\":\"$2\"}],\"annotations\":{\"deployment.kubernetes.io/revision\":\"$1\"}},\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"image\":\"points:$3\"}]}}}}"
        done
        echo "{\"items\":[${items#,}]}";;
    esac"#;
    let script = Script::new("kubectl", body);
    fs::write(script.dir.join("unavailable"), "0").unwrap();
    let executor = Executor::Kubernetes {
        kubectl: script.path().display().to_string(),
        namespace: "prod".to_owned(),
    };
    let app = TestApp::policed(db, Policy { executor: Some(executor), ..Policy::default() });
    let id = app.open(&firing("a")).await;
    let run = roll_back(&app, &id).await;
    assert_eq!(
        (&run["status"], &run["target"]),
        (&json!("succeeded"), &json!("revision 2: points:v2"))
    );
    let calls = script.calls();
    assert!(
        calls.contains(&"--namespace=prod rollout undo deployment/points".to_owned()),
        "{calls:?}"
    );
    assert!(
        calls.iter().any(|call| call.contains("rollout status deployment/points --timeout=120s"))
    );

    fs::write(script.dir.join("unavailable"), "1").unwrap();
    let before = script.calls().iter().filter(|call| call.contains("undo")).count();
    let other = app.open(&firing("b")).await;
    let run = roll_back(&app, &other).await;
    assert_eq!(run["status"], "failed");
    assert_eq!(script.calls().iter().filter(|call| call.contains("undo")).count(), before);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn argo_is_asked_to_undo_its_rollout_and_to_wait_at_no_pause(db: PgPool) {
    let body = r#"case "$*" in
      *"get rollouts.argoproj.io"*) echo "{\"metadata\":{\"uid\":\"u\"},\"spec\":{\"strategy\":$(cat strategy)}}";;
      *"get replicasets"*)
        for r in "1 u v1" "3 u v3" "2 u v2" "9 other v9"; do set -- $r
          items="$items,{\"metadata\":{\"ownerReferences\":[{\"uid\":\"$2\"}],\"annotations\":{\"rollout.argoproj.io/revision\":\"$1\"}},\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"image\":\"points:$3\"}]}}}}"
        done
        echo "{\"items\":[${items#,}]}";;
    esac"#;
    let script = Script::new("argo", body);
    let executor = Executor::Argo {
        kubectl: script.path().display().to_string(),
        namespace: "prod".to_owned(),
    };
    let app = TestApp::policed(db, Policy { executor: Some(executor), ..Policy::default() });
    for (fingerprint, strategy, goes) in [
        ("a", r#"{"canary":{"maxUnavailable":0}}"#, true),
        ("b", r#"{"blueGreen":{"activeService":"points"}}"#, true),
        ("c", r#"{"canary":{}}"#, false),
        ("d", r#"{"canary":{"maxUnavailable":"25%"}}"#, false),
    ] {
        fs::write(script.dir.join("strategy"), strategy).unwrap();
        fs::write(script.dir.join("calls"), "").unwrap();
        let id = app.open(&firing(fingerprint)).await;
        let run = roll_back(&app, &id).await;
        assert_eq!(run["status"] == "succeeded", goes, "{strategy}: {run}");
        let calls = script.calls();
        assert_eq!(calls.iter().any(|call| call.contains("undo")), goes, "{calls:?}");
        if goes {
            assert_eq!(run["target"], "revision 2: points:v2");
            assert_eq!(
                calls[2..],
                [
                    "--namespace=prod auth can-i patch deployment/points".to_owned(),
                    "argo rollouts undo points --namespace=prod".to_owned(),
                    "argo rollouts promote points --namespace=prod --full".to_owned(),
                    "argo rollouts status points --namespace=prod --timeout=120s".to_owned(),
                    format!(
                        "--namespace=prod annotate deployment/points incidents/rolled-back-for={} --overwrite",
                        app.incident(&id).await["number"].as_str().unwrap()
                    ),
                ]
            );
        }
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_takes_a_service_back_sees_none_of_our_secrets(db: PgPool) {
    let script = Script::new("environment", "env >seen; echo v1");
    let app = TestApp::policed(db, script.command());
    let id = app.open(&firing("a")).await;
    assert_eq!(roll_back(&app, &id).await["status"], "succeeded");
    let seen = fs::read_to_string(script.dir.join("seen")).unwrap();
    let seen: Vec<_> = seen.lines().filter_map(|line| line.split_once('=')).collect();
    assert!(seen.iter().any(|(name, _)| *name == "PATH"));
    // Other variables, such as cargo's, are not passed on; the shell sets the last four.
    let known = ["PATH", "HOME", "TMPDIR", "LANG", "TZ", "PWD", "OLDPWD", "SHLVL", "_"];
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    for (name, _) in seen {
        let family = ["KUBE", "AWS_", "STACK_", "ROLLBACK_", "SSL_CERT_"];
        let named = known.contains(&name) || family.iter().any(|start| name.starts_with(start));
        assert!(named, "{name}");
    }
}
