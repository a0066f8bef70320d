//! Answers do not tell whether a member has an address. `make report-enumeration` measures whether their time does.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::Reply;

use crate::app::PASSWORD;
use crate::mailing::Post;

const WRONG: &str = "tr0ub4dor&3";
/// Addresses of one length, because an answer may repeat the request.
const ADDRESSES: [&str; 5] = ["unknown", "verifed", "unverif", "disable", "lockout"];

fn address(kind: &str) -> String {
    format!("{kind}@example.org")
}

/// The reply as a client sees it, without the parts that always differ.
fn seen(reply: &Reply) -> (u16, BTreeMap<String, String>, usize, Value) {
    let mut body = reply.json();
    body["request_id"] = Value::Null;
    let headers = reply.headers.iter().map(|(name, value)| {
        let value = match name.as_str() {
            "x-request-id" | "x-correlation-id" | "traceparent" | "retry-after" => String::new(),
            _ => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        };
        (name.as_str().to_owned(), value)
    });
    (reply.status.as_u16(), headers.collect(), reply.body.len(), body)
}

/// An address of every kind: unknown, verified, unverified, of a disabled account, and under attack.
/// They have their codes.
async fn populated(db: PgPool) -> Post {
    let post = Post::new(db).await;
    let app = &post.app;
    for kind in &ADDRESSES[1..] {
        app.register(&address(kind)).await.expect(202);
    }
    for sql in [
        "UPDATE member SET verified_at = now() WHERE email NOT LIKE 'unverif%'",
        "UPDATE member SET disabled_at = now() WHERE email LIKE 'disable%'",
    ] {
        sqlx::query(sql).execute(&app.db).await.unwrap();
    }
    for _ in 0..5 {
        app.login(&address("lockout"), WRONG).await.expect(401);
    }
    post.quiet().await;
    post
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn registering_and_asking_for_codes_look_the_same_for_every_address(db: PgPool) {
    let Post { app, .. } = &populated(db).await;
    for path in ["/v1/register", "/v1/password/forgot", "/v1/verification/resend"] {
        let mut first = None;
        for kind in ADDRESSES {
            let body = match path {
                "/v1/register" => {
                    json!({ "email": address(kind), "password": PASSWORD, "display_name": "Eve" })
                }
                _ => json!({ "email": address(kind) }),
            };
            let call = app.api.post(path).key(&format!("{path} {kind} again")).json(body);
            let reply = seen(&call.send().await.expect(202));
            assert_eq!(first.get_or_insert_with(|| reply.clone()), &reply, "{path}: {kind}");
        }
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_wrong_password_looks_the_same_for_every_address_until_and_beyond_the_lock(db: PgPool) {
    let Post { app, .. } = &populated(db).await;
    // The locked address is locked, like an unknown one.
    for _ in 0..5 {
        app.login(&address("nothere"), WRONG).await.expect(401);
    }
    let nobody = seen(&app.login(&address("nothere"), WRONG).await.expect(429));
    let locked = seen(&app.login(&address("lockout"), WRONG).await.expect(429));
    assert_eq!(nobody, locked);
    let right = seen(&app.login(&address("lockout"), PASSWORD).await.expect(429));
    assert_eq!(nobody, right, "and the right password is not even looked at");

    for guess in 1..=7 {
        let mut first = None;
        for kind in &ADDRESSES[..4] {
            let reply = app.login(&address(kind), WRONG).await;
            let reply = seen(&reply.expect(if guess <= 5 { 401 } else { 429 }));
            assert_eq!(first.get_or_insert_with(|| reply.clone()), &reply, "{kind}, guess {guess}");
        }
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_wrong_code_looks_the_same_for_every_address(db: PgPool) {
    let Post { app, .. } = &populated(db).await;
    assert!(app.count("mail_code").await > 0, "somebody has a code");
    for path in ["/v1/verification", "/v1/password/reset"] {
        let mut first = None;
        for kind in &ADDRESSES[..4] {
            let field = if path == "/v1/password/reset" { "new_password" } else { "password" };
            let new = "another password of mine";
            let body = json!({ "email": address(kind), "code": "00000-00000", field: new });
            let call = app.api.post(path).key(&format!("{path} {kind}")).json(body);
            let reply = seen(&call.send().await.expect(401));
            assert_eq!(first.get_or_insert_with(|| reply.clone()), &reply, "{path}: {kind}");
        }
    }
}
