//! Secrets that are recognized wherever they turn up, sent through every route and method, and then looked
//! for in all that is written down.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use auth::hasher::Hasher;
use axum::http::Method;
use kit::Clock;
use observability::{Config, Sinks};
use opentelemetry_sdk::trace::InMemorySpanExporter;
use proto::auth::v1::auth_client::AuthClient;
use proto::auth::v1::{IssueServiceTokenRequest, ValidateTokenRequest};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::grpc::request;

use crate::app::TestApp;

/// In every secret; no two letters of it are anybody's by chance.
const CANARY: &str = "canary7f3a";
const MAIL: &str = "mail7f3a@example.org";

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

fn value(field: &str) -> Value {
    match field {
        "email" => json!(MAIL),
        "display_name" => json!("Ada"),
        secret => json!(format!("{CANARY}-{secret}")),
    }
}

/// Every documented route, with a canary in each secret field, in the token, in the query and in a cookie;
/// and once more with a field too many.
async fn everywhere(app: &TestApp, token: &str, round: usize) -> Vec<String> {
    let document = app.api.get("/openapi.json").send().await.expect(200).json();
    let mut answers = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let path = path.replace("{id}", "00000000-0000-0000-0000-000000000001");
            for strange in [false, true] {
                let path = if strange { format!("{path}?token={CANARY}") } else { path.clone() };
                let mut call = app
                    .api
                    .call(method.clone(), &path)
                    .key(&format!("k{round}{strange}"))
                    .header("if-match", "\"1\"")
                    .header("cookie", &format!("__Host-device={CANARY}"))
                    .bearer(token);
                let schema = operation.pointer("/requestBody/content/application~1json/schema");
                if let Some(reference) = schema.and_then(|schema| schema["$ref"].as_str()) {
                    let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
                    let fields = schema["properties"].as_object().unwrap();
                    let mut body: serde_json::Map<_, _> =
                        fields.keys().map(|name| (name.clone(), value(name))).collect();
                    if strange {
                        body.insert("surprise".to_owned(), value("surprise"));
                    }
                    call = call.json(body);
                }
                answers.push(call.send().await.text());
            }
        }
    }
    answers
}

async fn over_grpc(app: &TestApp) -> Vec<String> {
    let mut client = AuthClient::new(auth::grpc::routes(app.auth.clone()));
    let secret = format!("{CANARY}-{}", "s".repeat(32));
    let message = ValidateTokenRequest { token: secret.clone() };
    let refused = client.validate_token(request(message.clone(), &secret)).await.unwrap_err();
    let asked =
        IssueServiceTokenRequest { client_id: "booking".into(), client_secret: secret.clone() };
    let unknown = client.issue_service_token(asked.clone()).await.unwrap_err();
    let held = auth::app::ClientSecret::new(secret.clone().into()).unwrap();
    app.auth.put_client("booking", &held).await.unwrap();
    let token = client.issue_service_token(asked).await.unwrap().into_inner().token;
    let answer = client.validate_token(request(message, &token)).await.unwrap();
    vec![format!("{refused:?} {unknown:?} {answer:?}")]
}

/// Every row of every table, as text.
async fn tables(app: &TestApp) -> String {
    let sql = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
    let names: Vec<String> = sqlx::query_scalar(sql).fetch_all(&app.db).await.unwrap();
    assert!(names.len() > 10, "{names:?}");
    let mut text = String::new();
    for name in names {
        let sql = sqlx::AssertSqlSafe(format!("SELECT t::text FROM {name} t"));
        let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&app.db).await.unwrap();
        text.extend(rows.iter().map(|row| format!("{name}: {row}\n")));
    }
    text
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn no_secret_is_written_down_anywhere_whatever_is_asked_and_whatever_fails(db: PgPool) {
    let (log, spans) = (Log::default(), InMemorySpanExporter::default());
    let sinks = Sinks { log: Some(Box::new(log.clone())), spans: Some(spans.clone()) };
    let config = Config { log_level: "trace,sqlx=debug".to_owned(), ..Config::default() };
    // It wants threads of its own, and the test has one.
    let threads = tokio::runtime::Runtime::new().unwrap();
    let entered = threads.enter();
    let guard = observability::init_with("auth", "0", &config, sinks).unwrap();
    drop(entered);

    let app = TestApp::with(db, Clock::system(), Hasher::with(1, 4)).await;
    let mut answers = everywhere(&app, &format!("{CANARY}-bearer"), 1).await;
    answers.extend(over_grpc(&app).await);
    // By now there is a member, whose password is a canary.
    let login = json!({ "email": MAIL, "password": value("password") });
    sqlx::query("DELETE FROM login_attempt").execute(&app.db).await.unwrap();
    let session = app.api.post("/v1/login").json(login).send().await.expect(200).json();
    let word = |name: &str| session[name].as_str().unwrap().to_owned();
    let (access, refresh) = (word("access_token"), word("refresh_token"));
    answers.extend(everywhere(&app, &access, 2).await);
    let rows = tables(&app).await;
    assert!(rows.contains(MAIL), "the tables are empty");

    // And when everything fails.
    for table in ["session", "member_password", "login_attempt", "idempotency_key", "signing_key"] {
        let sql = sqlx::AssertSqlSafe(format!("ALTER TABLE {table} RENAME TO {table}_gone"));
        sqlx::query(sql).execute(&app.db).await.unwrap();
    }
    answers.extend(everywhere(&app, &access, 3).await);
    assert!(answers.iter().any(|answer| answer.contains("internal_error")), "nothing failed");
    let spans = spans.get_finished_spans().unwrap(); // which the guard takes along
    drop(guard);
    threads.shutdown_background();
    drop(std::panic::take_hook()); // ours writes to the log that is looked through below

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("request failed"), "{logged}");
    assert!(spans.len() > 50, "{} spans", spans.len());
    let spans: String = spans.iter().map(|span| format!("{span:?}\n")).collect();
    let metrics = String::from_utf8(observability::metrics::render().1).unwrap();
    let places = [
        ("log", logged),
        ("spans", spans),
        ("metrics", metrics),
        ("answers", answers.join("\n")),
        ("tables", rows),
    ];
    for (place, text) in places {
        for secret in [CANARY, &access, &refresh, MAIL] {
            // Where a member's address belongs: in the tables, and in their own profile.
            let known = secret == MAIL && ["tables", "answers"].contains(&place);
            let found = text.lines().find(|line| line.contains(secret));
            assert!(known || found.is_none(), "{place}: {secret}: {found:?}");
        }
    }
}
