//! Canaries: recognizable secrets, sent through every route and method and then searched for in all output and storage.

use auth::app::Auth;
use auth::config::Mail;
use auth::hasher::Hasher;
use auth::keyring::Keyring;
use auth::mailer::Mailer;
use axum::http::Method;
use kit::redis::Redis;
use kit::{Clock, config};
use proto::auth::v1::auth_client::AuthClient;
use proto::auth::v1::{IssueServiceTokenRequest, ValidateTokenRequest};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::grpc::request;
use testkit::http::Api;

use crate::app::TestApp;
use crate::mailing::Post;
use crate::recording::{Recorded, Recording};

/// A part of every secret that does not occur by chance.
const CANARY: &str = "canary7f3a";
const MAIL: &str = "mail7f3a@example.org";

fn value(field: &str) -> Value {
    match field {
        "email" => json!(MAIL),
        "display_name" => json!("Ada"),
        secret => json!(format!("{CANARY}-{secret}")),
    }
}

/// auth as `main` opens it, with canaries for the passwords of its database and of its Redis, which is down.
async fn auth_with_passwords(db: PgPool) -> TestApp {
    let own = dsn(&db, db.connect_options().get_database().unwrap());
    let pool = kit::postgres::connect(&own, "auth", &auth::MIGRATOR).await.unwrap();
    let url = format!("redis://:{CANARY}-redis@127.0.0.1:1");
    let redis =
        Redis::new(&config::Redis::new(Some(url.into())), "auth", &testkit::redis::secret())
            .unwrap();
    let keyring = Keyring::new(&"01".repeat(32).into()).unwrap();
    let clock = Clock::system();
    let auth = Auth::open(pool, redis, clock, Hasher::with(1, 4), keyring).await.unwrap();
    let api = Api::new(auth::http::router(auth.clone()));
    TestApp { auth, api, db }
}

/// The URL of a database for the service's own role, with a password.
fn dsn(db: &PgPool, database: &str) -> config::Postgres {
    let url = testkit::postgres::url(db, "auth_app");
    let own = db.connect_options();
    let url = url.replacen("auth_app@", &format!("auth_app:{CANARY}-dsn@"), 1);
    config::Postgres::new(url.replace(own.get_database().unwrap(), database))
}

/// The errors of failed starts, as an operator reads them.
async fn failed_starts(db: &PgPool) -> Vec<String> {
    let nowhere = dsn(db, "nowhere");
    let scheme = config::Postgres::new(format!("mysql://auth_app:{CANARY}-dsn@127.0.0.1/auth"));
    let port = config::Postgres::new(format!("postgres://auth_app:{CANARY}-dsn@127.0.0.1:x/auth"));
    let mut errors = Vec::new();
    for config in [nowhere, scheme, port] {
        let error = kit::postgres::connect(&config, "auth", &auth::MIGRATOR).await.err().unwrap();
        errors.push(format!("{error:#} {error:?} {config:?}"));
    }
    let redis = config::Redis::new(Some(format!("http://:{CANARY}-redis@127.0.0.1:x").into()));
    let error = Redis::new(&redis, "auth", &testkit::redis::secret())
        .err()
        .map(|error| format!("{error:#} {error:?}"));
    errors.push(format!("{} {redis:?}", error.unwrap()));
    let mail = Mail {
        smtp_url: Some(format!("smtps://auth:{CANARY}-smtp@:x").into()),
        mail_sink_dir: None,
        mail_from: "auth@example.org".to_owned(),
    };
    let error = Mailer::new(&mail).err().unwrap();
    errors.push(format!("{error:#} {error:?} {mail:?}"));
    errors
}

/// Every mailed code, as it is written and as it is compared.
fn codes(post: &Post) -> Vec<String> {
    let mails = post.mails();
    for subject in ["Is this your address?", "Choose a new password"] {
        assert!(mails.iter().any(|mail| mail.contains(subject)), "no mail: {subject}");
    }
    let written = mails.iter().filter_map(|mail| mail.split("Your code is ").nth(1));
    let written: Vec<_> = written.map(|rest| rest[..11].to_owned()).collect();
    let compared: Vec<_> = written.iter().map(|code| code.replace('-', "")).collect();
    [written, compared].concat()
}

/// Uses the newest code with this subject; returns the code and the answer.
async fn brought(post: &Post, subject: &str, path: &str, key: &str, new: &str) -> [String; 2] {
    let mail = post.mails().into_iter().rfind(|mail| mail.contains(subject)).unwrap();
    let code = mail.split("Your code is ").nth(1).unwrap()[..11].to_owned();
    let field = if path == "/v1/verification" { "password" } else { "new_password" };
    let body = json!({ "email": MAIL, "code": code, field: new });
    let reply = post.ask(path, key, body).await;
    [code, format!("{} {}", reply.status, reply.text())]
}

/// Calls every documented route with a canary in each secret field, in the token, in the query and in a cookie, and
/// once more with an extra field.
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
        IssueServiceTokenRequest { client_id: "inspector".into(), client_secret: secret.clone() };
    let unknown = client.issue_service_token(asked.clone()).await.unwrap_err();
    let held = auth::app::ClientSecret::new(secret.clone().into()).unwrap();
    app.auth.put_client("inspector", &held).await.unwrap();
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
    let recording = Recording::start("trace,sqlx=debug");
    drop(std::panic::take_hook()); // the hook writes to the log that is searched below

    let errors = failed_starts(&db).await;
    let post = Post::of(auth_with_passwords(db).await);
    let app = &post.app;
    let mut answers = everywhere(app, &format!("{CANARY}-bearer"), 1).await;
    answers.extend(over_grpc(app).await);
    // There is a member now, with a canary as password.
    let sign_in = async |password: &Value| {
        sqlx::query("DELETE FROM login_attempt").execute(&app.db).await.unwrap();
        let login = json!({ "email": MAIL, "password": password });
        let session = app.api.post("/v1/login").json(login).send().await.expect(200).json();
        ["access_token", "refresh_token"].map(|name| session[name].as_str().unwrap().to_owned())
    };
    let [access, refresh] = sign_in(&value("password")).await;
    answers.extend(everywhere(app, &access, 2).await);
    // The member gets a new password with the mailed codes.
    post.quiet().await;
    sqlx::query("DELETE FROM login_attempt").execute(&app.db).await.unwrap();
    let (verify, reset) = ("Is this your address?", "Choose a new password");
    let new = value("new_password");
    let new = new.as_str().unwrap();
    for (subject, path) in [(verify, "/v1/verification"), (reset, "/v1/password/reset")] {
        if subject == reset {
            // Using one code uses up all others.
            post.ask("/v1/password/forgot", "again", json!({ "email": MAIL })).await.expect(202);
            post.quiet().await;
        }
        let [_, answer] = brought(&post, subject, path, "brought", new).await;
        assert!(answer.starts_with("200"), "{path}: {answer}");
        answers.push(answer);
    }
    let [access_again, refresh_again] = sign_in(&json!(new)).await;
    let rows = tables(app).await;
    assert!(rows.contains(MAIL), "the tables are empty");

    // Every request fails.
    for table in ["session", "member_password", "login_attempt", "idempotency_key", "signing_key"] {
        let sql = sqlx::AssertSqlSafe(format!("ALTER TABLE {table} RENAME TO {table}_gone"));
        sqlx::query(sql).execute(&app.db).await.unwrap();
    }
    answers.extend(everywhere(app, &access_again, 3).await);
    answers.push(brought(&post, reset, "/v1/password/reset", "broken", new).await[1].clone());
    assert!(answers.iter().any(|answer| answer.contains("internal_error")), "nothing failed");
    let Recorded { log: logged, spans } = recording.end();

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
        ("errors", errors.join("\n")),
    ];
    let tokens = [access, refresh, access_again, refresh_again];
    let mut secrets = [codes(&post), tokens.to_vec()].concat();
    secrets.extend([CANARY.to_owned(), MAIL.to_owned()]);
    let mut found = Vec::new();
    for (place, text) in &places {
        for secret in &secrets {
            // A member's address belongs in one table, and in their own profile.
            let belongs = |line: &str| {
                secret == MAIL && (*place == "answers" || line.starts_with("member: "))
            };
            let lines =
                text.lines().filter(|line| line.contains(secret.as_str()) && !belongs(line));
            found.extend(lines.map(|line| format!("{place}: {secret}: {line}")).take(1));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
