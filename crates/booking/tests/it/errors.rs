//! Bad input gets its code, stores nothing, and reads the same over both transports.

use serde_json::{Value, json};
use sqlx::PgPool;
use tonic::Code;
use uuid::Uuid;

use crate::app::{App, Shop, member, wish};

/// A booking's body with one field replaced.
fn with(shop: &Shop, field: &str, value: Value) -> Value {
    let mut body = wish(shop, 60, 60);
    body[field] = value;
    body
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_booking_that_breaks_a_rule_is_refused_by_name(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let days = 24 * 60;

    for (status, code, body) in [
        (422, "invalid_interval", wish(&shop, 60, 0)),
        (422, "invalid_interval", wish(&shop, 60, -60)),
        (422, "invalid_interval", wish(&shop, 60, 4)),
        (422, "invalid_interval", wish(&shop, 60, 13 * 60)),
        (422, "invalid_interval", with(&shop, "ends_at", json!("+262142-01-01T00:00:00Z"))),
        (422, "outside_booking_window", wish(&shop, -1, 60)),
        (422, "outside_booking_window", wish(&shop, 401 * days, 60)),
        // Members cannot set the price of a booking.
        (422, "unknown_field", with(&shop, "price_minor", json!(1))),
        (422, "invalid_type", with(&shop, "starts_at", json!(1_893_456_000))),
        (422, "invalid_value", with(&shop, "starts_at", json!("tomorrow at ten"))),
        (422, "invalid_value", with(&shop, "starts_at", json!("2030-01-01T10:00:00"))),
        (422, "invalid_value", with(&shop, "staff_id", json!("ann"))),
        (422, "invalid_character", with(&shop, "staff_id", json!("a\0b"))),
        (422, "unknown_field", with(&shop, "status", json!("completed"))),
        (422, "missing_field", json!({})),
        (422, "invalid_type", json!([])),
        (404, "not_found", with(&shop, "staff_id", json!(Uuid::from_u128(404)))),
        (404, "not_found", with(&shop, "merchant_id", json!(Uuid::from_u128(404)))),
    ] {
        let reply = app.post(member(2), "/v1/bookings", body.clone()).send().await;
        let seen = (reply.status.as_u16(), reply.code());
        assert_eq!(seen, (status, code.to_owned()), "{body} {}", reply.text());
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert!(!reply.text().contains("tomorrow at ten"), "the input is not repeated");
    }

    assert_eq!(app.count("booking").await, 0);
    // The limits themselves are allowed.
    for (start, minutes) in [(0, 5), (5, 12 * 60), (400 * days, 60)] {
        app.block(&shop, start, minutes).send().await.expect(201);
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_cannot_be_read_is_refused_before_anything_happens(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let token = app.issuer.member(member(2));
    let call = || app.api.post("/v1/bookings").bearer(&token);
    let good = wish(&shop, 60, 60).to_string();

    for (status, code, call) in [
        (400, "malformed_json", call().key("k").body("application/json", "{\"merchant_id\":")),
        (400, "malformed_json", call().key("k").body("application/json", format!("{good} x"))),
        (400, "missing_body", call().key("k")),
        (415, "unsupported_media_type", call().key("k").body("text/plain", good.clone())),
        (413, "body_too_large", call().key("k").body("application/json", " ".repeat(70_000))),
        (400, "idempotency_key_required", call().body("application/json", good.clone())),
        (400, "idempotency_key_invalid", call().key("").body("application/json", good.clone())),
        (404, "not_found", app.api.get("/v1/nowhere").bearer(&token)),
        (405, "method_not_allowed", app.api.delete("/v1/bookings").bearer(&token)),
    ] {
        let reply = call.send().await;
        let seen = (reply.status.as_u16(), reply.code());
        assert_eq!(seen, (status, code.to_owned()), "{}", reply.text());
    }
    assert_eq!(app.count("booking").await, 0);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_merchant_has_a_name_and_a_zone_that_exist(db: PgPool) {
    let app = App::new(db);
    for (code, name, zone) in [
        ("unknown_time_zone", "Shears", "Mars/Base"),
        ("unknown_time_zone", "Shears", "../etc/passwd"),
        ("unknown_time_zone", "Shears", ""),
        ("invalid_name", "", "Asia/Tokyo"),
        ("invalid_name", " \t ", "Asia/Tokyo"),
        ("invalid_name", "a\u{1b}[31mb", "Asia/Tokyo"),
        ("invalid_name", &"a".repeat(101), "Asia/Tokyo"),
        ("invalid_character", "a\0b", "Asia/Tokyo"),
        ("invalid_character", "Shears", "Asia/Tokyo\0"),
        ("invalid_fields", "", "Mars/Base"),
    ] {
        let body = json!({ "name": name, "time_zone": zone });
        let reply = app.post(member(1), "/v1/merchants", body).send().await.expect(422);
        assert_eq!(reply.code(), code, "{name:?} {zone:?}");
    }
    assert_eq!(app.count("merchant").await, 0);

    // Text that means something elsewhere is only text here.
    let shop = app.open_shop().await;
    for name in ["'; DROP TABLE booking; --", "%", "\\", "{{7*7}}", "😀", "O'Brien"] {
        let path = format!("/v1/merchants/{}/staff", shop.merchant);
        let staff = app.post(shop.owner, &path, json!({ "name": name })).send().await.expect(201);
        assert_eq!(staff.json()["name"], name);
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn both_transports_agree(db: PgPool) {
    let app = App::new(db);
    for (booking, status, grpc) in [
        (Uuid::from_u128(404).to_string(), 404, Code::NotFound),
        ("not-an-id".to_owned(), 400, Code::InvalidArgument),
    ] {
        let http = app.get(member(2), &format!("/v1/bookings/{booking}")).send().await;
        let refused = app.get_over_grpc("inspector", &booking).await.unwrap_err();

        assert_eq!((http.status.as_u16(), refused.code()), (status, grpc));
        assert_eq!(http.code(), testkit::grpc::code(&refused));
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn only_an_inspector_may_ask_for_any_booking(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let booking = app.booked(member(2), &shop, 60).await.to_string();

    app.get_over_grpc("inspector", &booking).await.unwrap();
    for stranger in ["points", "incidents", "booking", "auth"] {
        let refused = app.get_over_grpc(stranger, &booking).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_database_failure_says_nothing(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let booking = app.booked(member(2), &shop, 60).await;
    sqlx::query("ALTER TABLE booking RENAME TO gone").execute(&app.db).await.unwrap();

    let http = app.get(member(2), &format!("/v1/bookings/{booking}")).send().await.expect(500);
    assert_eq!(http.code(), "internal_error");
    assert!(!http.text().contains("relation"), "{}", http.text());
    let grpc = app.get_over_grpc("inspector", &booking.to_string()).await.unwrap_err();
    assert_eq!((grpc.code(), grpc.message()), (Code::Internal, "internal error"));
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn the_api_describes_itself(db: PgPool) {
    let app = App::new(db);
    let api = app.api.get("/openapi.json").send().await.expect(200).json();
    let paths: Vec<_> = api["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        paths,
        [
            "/v1/bookings",
            "/v1/bookings/{booking_id}",
            "/v1/bookings/{booking_id}/cancel",
            "/v1/bookings/{booking_id}/complete",
            "/v1/bookings/{booking_id}/confirm",
            "/v1/bookings/{booking_id}/no-show",
            "/v1/bookings/{booking_id}/notifications",
            "/v1/bookings/{booking_id}/reschedule",
            "/v1/holds",
            "/v1/merchants",
            "/v1/merchants/{merchant_id}/closure",
            "/v1/merchants/{merchant_id}/closures",
            "/v1/merchants/{merchant_id}/closures/{closure_id}",
            "/v1/merchants/{merchant_id}/line",
            "/v1/merchants/{merchant_id}/line/contact",
            "/v1/merchants/{merchant_id}/line/contact/proof",
            "/v1/merchants/{merchant_id}/owner",
            "/v1/merchants/{merchant_id}/services",
            "/v1/merchants/{merchant_id}/services/{service_id}",
            "/v1/merchants/{merchant_id}/slots",
            "/v1/merchants/{merchant_id}/staff",
            "/v1/merchants/{merchant_id}/staff/{staff_id}/hours",
            "/v1/merchants/{merchant_id}/staff/{staff_id}/member",
            "/v1/merchants/{merchant_id}/staff/{staff_id}/services",
            "/v1/sagas",
            "/v1/sagas/{saga_id}",
        ]
    );
}
