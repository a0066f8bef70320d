//! What cannot be right is refused with the field's name, and nothing happens.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::app::{PASSWORD, TestApp, hashes};

fn body(field: &str, value: Value) -> Value {
    let mut body =
        json!({ "email": "ada@example.org", "password": PASSWORD, "display_name": "Ada" });
    body[field] = value;
    body
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_wrong_field_is_named(db: PgPool) {
    let app = TestApp::new(db).await;
    let cases = [
        ("email", json!(""), "invalid_email"),
        ("email", json!("ada"), "invalid_email"),
        ("email", json!("ada@localhost"), "invalid_email"),
        ("email", json!("a\u{0}da@example.org"), "invalid_character"),
        ("email", json!("mi\u{212a}e@example.org"), "invalid_email"),
        ("email", json!(format!("{}@example.org", "a".repeat(300))), "invalid_email"),
        ("password", json!("1234567"), "password_too_short"),
        ("password", json!("x".repeat(1025)), "password_too_long"),
        ("password", json!("12345678\u{0}"), "invalid_character"),
        ("password", json!("Password123"), "password_breached"),
        ("display_name", json!(" "), "invalid_length"),
        ("display_name", json!("x".repeat(101)), "invalid_length"),
        ("display_name", json!("a\u{1b}[31m"), "invalid_character"),
    ];
    for (field, value, code) in cases {
        let body = body(field, value);
        let reply = app.api.post("/v1/register").key("k").json(&body).send().await.expect(422);
        assert_eq!(reply.fields(), [(field.to_owned(), code.to_owned())], "{body}");
        assert_eq!(reply.header("content-type"), "application/problem+json");
    }
    assert_eq!((app.count("member").await, app.count("idempotency_key").await), (0, 0));
    assert_eq!(hashes(), 0);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn all_wrong_fields_are_named_at_once(db: PgPool) {
    let app = TestApp::new(db).await;
    let body = json!({ "email": "x", "password": "x", "display_name": "" });
    let reply = app.api.post("/v1/register").key("k").json(body).send().await.expect(422);
    let fields: Vec<_> = reply.fields().into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["email", "password", "display_name"]);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn what_is_not_the_right_shape_is_refused(db: PgPool) {
    let app = TestApp::new(db).await;
    for body in [
        body("role", json!("operator")),
        body("email", json!(1)),
        body("password", json!(["12345678"])),
        body("display_name", json!(null)),
        json!({ "email": "ada@example.org", "password": PASSWORD }),
    ] {
        let reply = app.api.post("/v1/register").key("k").json(&body).send().await.expect(422);
        assert!(!reply.text().contains(PASSWORD), "{}", reply.text());
    }
    let malformed =
        app.api.post("/v1/register").key("k").body("application/json", "{").send().await;
    malformed.expect(400);
    let missing =
        app.api.post("/v1/register").json(body("email", json!("a@example.org"))).send().await;
    assert_eq!(missing.expect(400).code(), "idempotency_key_required");
    let form = app.api.post("/v1/register").key("k").body("text/plain", "{}").send().await;
    form.expect(415);
    let large = body("display_name", json!("x".repeat(70_000)));
    app.api.post("/v1/register").key("k").json(large).send().await.expect(413);
    app.api.get("/v1/register").send().await.expect(405);
    assert_eq!(app.count("member").await, 0);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_login_names_what_is_wrong_about_its_form_only(db: PgPool) {
    let app = TestApp::new(db).await;
    let reply = app.login("ada", PASSWORD).await.expect(422);
    assert_eq!(reply.fields(), [("email".to_owned(), "invalid_email".to_owned())]);
    let reply = app.login("ada@example.org", &"x".repeat(1025)).await.expect(422);
    assert_eq!(reply.fields(), [("password".to_owned(), "password_too_long".to_owned())]);
    // A short password is a wrong guess like any other.
    assert_eq!(app.login("ada@example.org", "").await.expect(401).code(), "invalid_credentials");
}
