//! Hostile input is refused, and no alert is lost.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use incidents::channels::{Addresses, Channels};
use kit::outbox;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::eventually;
use testkit::http::Reply;
use testkit::postgres::app_pool;
use tokio_util::sync::CancellationToken;

use crate::app::{TOKEN, TestApp, firing, labelled, payload, with};

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_wrong_credential_is_refused(db: PgPool) {
    let app = TestApp::new(db);
    let body = payload(&[firing("a")]);
    let call = app.api.post("/v1/alerts").json(&body);
    let longer = format!("Bearer {TOKEN}x");
    let basic = format!("Basic {TOKEN}");
    let as_long = format!("Bearer {}", "x".repeat(TOKEN.len()));
    for wrong in
        ["Bearer wrong", "Bearer ", "Bearer", TOKEN, &longer, &longer[..20], &basic, &as_long]
    {
        let reply = call.clone().header("authorization", wrong).send().await.expect(401);
        assert_eq!(reply.code(), "invalid_token", "{wrong}");
    }
    call.clone().send().await.expect(401);
    call.clone().bearer(TOKEN).bearer(TOKEN).send().await.expect(401);
    // An operator's token is refused, too.
    let operator = [kit::caller::Role::Operator];
    let token = app.issuer.with_roles(kit::Clock::system().id(), &operator);
    call.bearer(&token).send().await.expect(401);
    nothing_was_stored(&app).await;
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_body_of_another_media_type_is_refused(db: PgPool) {
    let app = TestApp::new(db);
    let operator = app.issuer.with_roles(kit::Clock::system().id(), &[kit::caller::Role::Operator]);
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    let body = payload(&[firing("a")]).to_string();
    let alerts = async |media_type: &str| {
        let call = app.api.post("/v1/alerts").bearer(TOKEN).body(media_type, body.clone());
        call.send().await.status.as_u16()
    };
    let forms = async |path: &str, media_type: &str| {
        let call = app.api.post(path).header("cookie", &format!("__Host-console={operator}"));
        let call = call.header("sec-fetch-site", "same-origin").body(media_type, "key=k");
        call.send().await.status.as_u16()
    };
    for wrong in
        ["text/plain", form, "multipart/form-data; boundary=x", "application/json; charset=utf-16"]
    {
        assert_eq!(alerts(wrong).await, 415, "{wrong}");
    }
    nothing_was_stored(&app).await;
    assert_eq!(alerts("application/json; charset=utf-8").await, 200);
    let id = app.incidents().await[0]["incident_id"].as_str().unwrap().to_owned();
    let at = |what: &str| format!("/console/incidents/{id}/{what}");
    let paths = ["postmortem", "action", "finish", "rollback", "acknowledge"].map(at);
    let own = ["/console/login", "/console/logout"].map(str::to_owned);
    for path in paths.iter().chain(&own) {
        for wrong in ["text/plain", json, "multipart/form-data; boundary=x"] {
            assert_eq!(forms(path, wrong).await, 415, "{path}: {wrong}");
        }
        assert_ne!(forms(path, form).await, 415, "{path}");
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_is_no_payload_is_refused_for_good(db: PgPool) {
    let app = TestApp::new(db);
    let whole = payload(&[firing("a")]).to_string();
    let one = |alert: Value| payload(&[alert]).to_string();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let inside = whole.replace("\"service\":\"points\"", &format!("\"service\":{deep}"));
    assert_ne!(inside, whole);
    for body in [
        "",
        "null",
        "[]",
        "{}",
        &whole[..whole.len() / 2],
        &deep,
        &inside,
        &whole.replace("Alerts\":0", "Alerts\":NaN"),
        &whole.replace("Alerts\":0", "Alerts\":-1"),
        &format!("{whole}{whole}"),
        &format!("\u{feff}{whole}"),
        &with(payload(&[firing("a")]), "/version", "3").to_string(),
        &with(payload(&[firing("a")]), "/version", 4).to_string(),
        &with(payload(&[]), "/alerts", Value::Null).to_string(),
        &one(with(firing("a"), "/fingerprint", "")),
        &one(with(firing("a"), "/fingerprint", "f\0")),
        &one(with(firing("a"), "/fingerprint", "f".repeat(129))),
        &one(with(firing("a"), "/startsAt", "yesterday")),
        &one(with(firing("a"), "/startsAt", "+262142-01-01T00:00:00Z")),
        &one(with(firing("a"), "/endsAt", "-262142-01-01T00:00:00Z")),
        &one(with(firing("a"), "/status", "smoldering")),
        &one(with(firing("a"), "/labels", json!({ "n": 1 }))),
    ] {
        let reply = post(&app, body).await.expect(400);
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert_eq!(reply.code(), "malformed_payload", "{body:.100}");
    }
    post(&app, &format!("{whole}{}", " ".repeat(1024 * 1024))).await.expect(413);
    nothing_was_stored(&app).await;

    // Just within the limit, and from a newer Alertmanager.
    let padded = format!("{whole}{}", " ".repeat(1024 * 1024 - whole.len()));
    post(&app, &padded).await.expect(200);
    let mut newer = payload(&[firing("b")]);
    newer["groupAge"] = json!(12);
    newer["alerts"][0]["mood"] = json!("bad");
    post(&app, &newer.to_string()).await.expect(200);
    assert_eq!(app.count("incident").await, 2);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_name_given_twice_is_refused_or_read_once_and_never_loses_the_alert(db: PgPool) {
    let app = TestApp::new(db);
    let whole = payload(&[firing("a")]).to_string();
    for (field, twice) in [
        ("\"version\":\"4\"", "\"version\":\"4\",\"version\":\"4\""),
        ("\"fingerprint\":\"a\"", "\"fingerprint\":\"a\",\"fingerprint\":\"b\""),
        ("\"status\":\"firing\"}", "\"status\":\"firing\",\"status\":\"resolved\"}"),
    ] {
        let body = whole.replacen(field, twice, usize::MAX);
        assert_ne!(body, whole, "{field}");
        assert_eq!(post(&app, &body).await.expect(400).code(), "malformed_payload", "{field}");
    }
    nothing_was_stored(&app).await;
    let label = "\"service\":\"points\"";
    let body = whole.replacen(label, "\"service\":\"auth\",\"service\":\"points\"", 1);
    post(&app, &body).await.expect(200);
    assert_eq!(app.incidents().await[0]["service"], "points");
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_number_that_cannot_be_read_is_p2_and_flagged_and_pages_nobody(db: PgPool) {
    let app = TestApp::new(db);
    for (n, (name, value, severity, uncertain)) in [
        ("error_rate", "NaN", "P2", true),
        ("error_rate", "inf", "P2", true),
        ("error_rate", "50", "P2", true),
        ("error_rate", "50%", "P2", true),
        ("error_rate", "-0.5", "P2", true),
        ("error_rate", "1e400", "P2", true),
        ("error_rate", "", "P2", true),
        ("availability", "95", "P2", true),
        ("affected_users", "many", "P2", true),
        ("response_time_seconds", "5s", "P2", true),
        ("error_rate", "0.5", "P0", false),
        ("availability", "0.94", "P0", false),
        ("response_time_seconds", "5", "P1", false),
        ("affected_users", "10", "P2", false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut alert = labelled(&format!("{n}"), json!({ "severity": "info" }));
        alert["annotations"] = json!({ name: value });
        app.deliver(&[alert]).await.expect(200);
        let incident = &app.incidents().await[0];
        assert_eq!(incident["severity"], severity, "{name}={value}");
        assert_eq!(incident["classification_uncertain"], uncertain, "{name}={value}");
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn the_bytes_of_old_deliveries_go_and_what_they_said_stays(db: PgPool) {
    let app = TestApp::new(db);
    for name in ["old", "recent"] {
        app.deliver(&[firing(name)]).await.expect(200);
    }
    let age = "UPDATE alert_delivery SET received_at = now() - $1::interval
               WHERE position(convert_to($2, 'UTF8') IN payload) > 0";
    for (name, days) in [("old fails", "31 days"), ("recent fails", "29 days")] {
        sqlx::query(age)
            .bind(days)
            .bind(name)
            .execute(&app.db)
            .await
            .unwrap_or_else(|_| panic!("{name}"));
    }
    assert_eq!(app.incidents.forget_deliveries().await.unwrap(), 1);
    assert_eq!(app.incidents.forget_deliveries().await.unwrap(), 0);
    assert_eq!((app.count("alert_delivery").await, app.count("alert").await), (1, 2));
    // Deliveries of the last week are kept, whatever the role asks for.
    let role = app_pool(&app.db, "incidents_app");
    app.deliver(&[firing("new")]).await.expect(200);
    sqlx::query("SELECT forget_deliveries('infinity')").execute(&role).await.unwrap();
    assert_eq!(app.count("alert_delivery").await, 1);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn no_label_however_hostile_loses_its_alert(db: PgPool) {
    let app = TestApp::new(db);
    for (n, text) in [
        "a\0b",
        "\0",
        "<!channel> `rm -rf` <script>alert(1)</script>",
        "\r\n{\"level\":\"INFO\"}\u{1b}[31m\u{2028}",
        "\u{202e}evil\u{2066}",
        "'; DROP TABLE incident; --",
        "%s%n$1",
        &"語".repeat(10_000),
        "👩‍👩‍👧‍👦",
        "",
    ]
    .into_iter()
    .enumerate()
    {
        let labels = json!({ "alertname": text, "service": text, "severity": text, text: "name" });
        let mut alert = labelled(&format!("hostile-{n}"), labels);
        alert["annotations"] = json!({ "summary": text, "description": text });
        let outcome = app.deliver(&[alert]).await.expect(200).json();
        assert_eq!(outcome["opened"], 1, "{text:.50}");

        let incident = &app.incidents().await[0];
        let title = incident["title"].as_str().unwrap();
        assert!((1..=200).contains(&title.chars().count()), "{title:?}");
        assert!(!title.contains(char::is_control), "{title:?}");
        assert_eq!(incident["severity"], "P2");
        let path = format!("/v1/incidents/{}", incident["incident_id"].as_str().unwrap());
        app.get(&path).await.expect(200);
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_was_said_is_kept_byte_for_byte(db: PgPool) {
    let app = TestApp::new(db);
    let body = format!(" {} \n", payload(&[labelled("a", json!({ "x": "a\0b" }))]));
    post(&app, &body).await.expect(200);
    let kept: Vec<u8> =
        sqlx::query_scalar("SELECT payload FROM alert_delivery").fetch_one(&app.db).await.unwrap();
    assert_eq!(kept, body.as_bytes());
}

/// The log is the default channel of every severity.
#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_strangers_wrote_is_one_inert_line_in_the_log(db: PgPool) {
    let log = Log::default();
    let sinks = observability::Sinks { log: Some(Box::new(log.clone())), spans: None };
    // Telemetry insists on a runtime with threads.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let inside = runtime.enter();
    let config = observability::Config::default();
    let _guard = observability::init_with("incidents", "1", &config, sinks).unwrap();
    drop(inside);
    // When all tests share a process, the panics of others are not for this log.
    drop(std::panic::take_hook());
    let app = TestApp::new(db);
    let channels = Channels::new(app.incidents.clone(), &Addresses::default()).unwrap();
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    tokio::spawn(outbox::relay(app_pool(&app.db, "incidents_app"), channels, stop));

    let evil = "\u{1b}[2J\u{202e}x\r\n{\"level\":\"INFO\",\"message\":\"all is well\"}\n\u{2028}<!channel>";
    let labels = json!({ "alertname": evil, "service": evil, "severity": evil, evil: evil });
    let mut alert = labelled("h", labels);
    alert["annotations"] = json!({ "summary": evil, "description": evil, "runbook_url": evil });
    app.deliver(&[alert]).await.expect(200);
    let lines = eventually(Duration::from_secs(10), || async {
        let lines = log.lines();
        lines.iter().any(|line| line.contains("New incident")).then_some(lines)
    })
    .await;
    for line in lines {
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        assert_ne!(said["message"], "all is well");
        let obeyed = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{2028}');
        assert!(!line.contains(obeyed), "{line:?}");
    }
    runtime.shutdown_background();
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.split_terminator('\n').map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn post(app: &TestApp, body: &str) -> Reply {
    app.api.post("/v1/alerts").bearer(TOKEN).body("application/json", body.to_owned()).send().await
}

async fn nothing_was_stored(app: &TestApp) {
    for table in ["alert_delivery", "alert", "incident"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
}
