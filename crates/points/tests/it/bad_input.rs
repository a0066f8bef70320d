//! Nonsense is refused with its reason, and nothing is stored.

use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::Reply;
use uuid::Uuid;

use crate::app::{TestApp, id, key, points};

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn what_is_not_an_amount_is_refused_as_one(db: PgPool) {
    let app = TestApp::new(db);
    let (account, token) = app.member().await;
    for wrong in [
        "0",
        "-1",
        "-0",
        "1.5",
        "1.0",
        "\"10\"",
        "1e3",
        "9223372036854775808",
        "-9223372036854775809",
        "1000000001",
        "null",
        "true",
        "[]",
        "{}",
        "[1]",
    ] {
        for field in ["points", "purchase_minor"] {
            if (field, wrong) == ("purchase_minor", "1000000001") {
                continue; // a large purchase, and a fine one
            }
            let body = format!(r#"{{"{field}": {wrong}, "merchant_id": "{}"}}"#, Uuid::nil());
            let reply = post(&app, account, &body).await.expect(422);
            assert_eq!(reply.code(), "invalid_amount", "{body}");
            assert_eq!(reply.fields(), [(field.to_owned(), "invalid_amount".to_owned())], "{body}");
        }
    }
    for (body, code) in [
        (r#"{"points": NaN}"#, "malformed_json"),
        (r#"{"points": 1e400}"#, "malformed_json"),
        (r#"{"points": 01}"#, "malformed_json"),
        (r#"{"points": 1, "points": 1000}"#, "duplicate_key"),
    ] {
        assert_eq!(post(&app, account, body).await.expect(400).code(), code, "{body}");
    }
    nothing_was_stored(&app, &token).await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn an_earning_has_one_basis_and_no_other_fields(db: PgPool) {
    let app = TestApp::new(db);
    let (account, token) = app.member().await;
    let merchant = Uuid::nil();
    for (body, field, code) in [
        (json!({ "merchant_id": merchant }), "points", "invalid_amount"),
        (
            json!({ "merchant_id": merchant, "points": 1, "purchase_minor": 100 }),
            "points",
            "invalid_amount",
        ),
        (json!({ "points": 1 }), "merchant_id", "missing_field"),
        (json!({ "points": 1, "merchant_id": "shop" }), "merchant_id", "invalid_value"),
        (
            json!({ "points": 1, "merchant_id": merchant, "balance": 1e9 }),
            "balance",
            "unknown_field",
        ),
        (
            json!({ "points": 1, "merchant_id": merchant, "reference": "a\0b" }),
            "reference",
            "invalid_character",
        ),
        (
            json!({ "points": 1, "merchant_id": merchant, "reference": "a\u{1b}[0m" }),
            "reference",
            "invalid_character",
        ),
        (
            json!({ "points": 1, "merchant_id": merchant, "reference": 7 }),
            "reference",
            "invalid_type",
        ),
        (
            json!({ "points": 1, "merchant_id": merchant, "reference": "x".repeat(201) }),
            "reference",
            "invalid_reference",
        ),
    ] {
        let reply = post(&app, account, &body.to_string()).await.expect(422);
        assert_eq!(reply.fields(), [(field.to_owned(), code.to_owned())], "{body}");
    }
    // Every wrong field is named at once.
    let body = json!({ "points": 0, "merchant_id": merchant, "reference": "a\n" }).to_string();
    let reply = post(&app, account, &body).await.expect(422);
    let fields = [("points", "invalid_amount"), ("reference", "invalid_character")];
    assert_eq!(reply.code(), "invalid_fields");
    assert_eq!(reply.fields(), fields.map(|(field, code)| (field.to_owned(), code.to_owned())));
    nothing_was_stored(&app, &token).await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_body_or_a_key_that_cannot_be_read_is_refused(db: PgPool) {
    let app = TestApp::new(db);
    let (account, token) = app.member().await;
    let path = format!("/v1/accounts/{account}/earnings");
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let large = format!(r#"{{"points": 1, "reference": "{}"}}"#, "x".repeat(64 * 1024));
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("{} trailing", 400),
        ("\u{feff}{}", 400),
        (r#"{"reference": "\ud800"}"#, 400),
        (&deep, 400),
        (&large, 413),
    ] {
        let reply = post(&app, account, body).await.expect(status);
        assert_eq!(reply.header("content-type"), "application/problem+json");
    }
    let call = app.api.post(&path).bearer(&app.operator());
    let good = points(1).to_string();
    call.clone().key(&key()).body("text/plain", good.clone()).send().await.expect(415);
    call.clone().json(points(1)).send().await.expect(400);
    for wrong in ["", "k\u{e9}y", &"k".repeat(256)] {
        call.clone().key(wrong).json(points(1)).send().await.expect(400);
    }
    call.clone().key("a").key("b").json(points(1)).send().await.expect(400);
    app.api.put(&path).bearer(&app.operator()).json(points(1)).send().await.expect(405);
    nothing_was_stored(&app, &token).await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn nobody_opens_an_account_with_points_in_it(db: PgPool) {
    let app = TestApp::new(db);
    let token = app.issuer.member(id());
    for body in [json!({ "earned": 1_000 }), json!({ "member_id": id() })] {
        let call = app.api.post("/v1/accounts").bearer(&token).key(&key()).json(&body);
        let reply = call.send().await.expect(422);
        assert_eq!(reply.fields()[0].1, "unknown_field", "{body}");
    }
    app.get("/v1/accounts/me", &token).send().await.expect(404);
}

async fn post(app: &TestApp, account: Uuid, body: &str) -> Reply {
    let call = app.api.post(&format!("/v1/accounts/{account}/earnings")).bearer(&app.operator());
    call.key(&key()).body("application/json", body.to_owned()).send().await
}

async fn nothing_was_stored(app: &TestApp, token: &str) {
    assert_eq!(app.entries().await, 0);
    let me: Value = app.get("/v1/accounts/me", token).send().await.expect(200).json();
    assert_eq!((&me["earned"], &me["version"]), (&json!(0), &json!(1)));
}
