//! Request quotas of strangers, on a real port.

use auth::hasher::Hasher;
use kit::Clock;
use kit::config::{Edge, Limits, Listen, Tls};
use kit::health::Health;
use kit::redis::Redis;
use kit::serve::{Listeners, Servers};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::postgres::app_pool;
use tokio_util::sync::CancellationToken;

use crate::app::open;

/// auth behind its listener, with client limits.
async fn serve(db: &PgPool, strict: &str) -> (String, tokio_util::sync::DropGuard) {
    let any = "127.0.0.1:0".parse().unwrap();
    let edge = Edge { rate_limit_strict: strict.parse().unwrap(), ..Edge::default() };
    let (limits, tls) = (Limits::default(), Tls::default());
    let listen =
        Listen { http_listen: any, grpc_listen: any, admin_listen: any, limits, edge, tls };
    let listeners = Listeners::bind(&listen).unwrap();
    let at = listeners.addresses().unwrap().http;
    let auth = open(db, Clock::system(), Hasher::new(), 1).await.unwrap();
    let servers = Servers {
        http: auth::http::router(auth.clone()),
        grpc: auth::grpc::routes(auth),
        health: Health::new("auth", app_pool(db, "auth_app"), Redis::disabled()),
    };
    let stop = CancellationToken::new();
    tokio::spawn(listeners.serve(servers, stop.clone()));
    (format!("http://{at}"), stop.drop_guard())
}

/// True for a body with a secret that could be guessed, or an address to send mail to.
fn is_about_secrets(api: &Value, operation: &Value) -> bool {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    let Some(name) = schema.as_str().and_then(|path| path.rsplit('/').next()) else { return false };
    let fields = api["components"]["schemas"][name]["properties"].as_object().unwrap();
    ["email", "password", "current_password", "code"].iter().any(|f| fields.contains_key(*f))
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn whatever_could_be_guessed_counts_against_the_strict_quota(db: PgPool) {
    let (url, _stop) = serve(&db, "1000/1h").await;
    let client = reqwest::Client::new();
    let api: Value =
        client.get(format!("{url}/openapi.json")).send().await.unwrap().json().await.unwrap();
    let mut strict = 0;
    for (path, operations) in api["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            let reply = client.request(method, format!("{url}{path}")).send().await.unwrap();
            let policy = reply.headers()["ratelimit-policy"].to_str().unwrap();
            let expected = is_about_secrets(&api, operation);
            assert_eq!(policy.starts_with("\"strict\""), expected, "{path}: {policy}");
            strict += i32::from(expected);
        }
    }
    assert!(strict >= 7, "{strict}");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn an_address_that_asks_too_much_is_told_so_before_anything_is_hashed(db: PgPool) {
    let (url, _stop) = serve(&db, "3/1h").await;
    let client = reqwest::Client::new();
    let before = crate::app::hashes();
    let mut statuses = Vec::new();
    for n in 0..6 {
        let body = json!({ "email": format!("{n}@example.org"), "password": "wrong" });
        let request = client.post(format!("{url}/v1/login")).json(&body);
        statuses.push(request.send().await.unwrap().status());
    }
    let (unknown, refused) = (StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(statuses, [unknown, unknown, unknown, refused, refused, refused]);
    assert!(crate::app::hashes() - before >= 3);
    let others = client.get(format!("{url}/.well-known/jwks.json")).send().await.unwrap();
    assert_eq!(others.status(), StatusCode::OK);
}
