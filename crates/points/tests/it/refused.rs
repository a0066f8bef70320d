//! The table of bad inputs: each has its status and its code on both transports, and stores nothing.

use proto::points::v1::{CaptureRequest, HoldRequest, ReleaseRequest, ReverseRequest};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::grpc;
use tonic::Code;
use uuid::Uuid;

use crate::app::{TestApp, id, key, points, wanted};

/// Everything that a command may leave behind.
async fn stored(app: &TestApp) -> i64 {
    let sql = "SELECT (SELECT count(*) FROM transfer) + (SELECT count(*) FROM hold)
                    + (SELECT count(*) FROM conversion_rule) + (SELECT count(*) FROM outbox_event)
                    + (SELECT count(*) FROM idempotency_key) + (SELECT sum(version) FROM account)::bigint";
    sqlx::query_scalar(sql).fetch_one(&app.db).await.unwrap()
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn over_http(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.rich(100).await;
    let (foreign, _) = app.rich(100).await;
    let (operator, stranger) = (app.operator(), app.issuer.member(id()));
    let at = |rest: &str| format!("/v1/accounts/{account}/{rest}");
    let hold = |points: Value| json!({ "points": points });
    let give = |to: Uuid, points: Value| json!({ "to_account_id": to, "points": points });
    let purchase = |change: Value| {
        let mut body = json!({ "purchase_minor": 1_000, "merchant_id": Uuid::nil() });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        body
    };
    let before = stored(&app).await;
    let path = at("earnings");
    for wrong in
        [json!(0), json!(-1), json!(1.5), json!("10"), json!(1_000_000_001_i64), json!(null)]
    {
        for (what, body) in [
            ("redemptions", json!({ "points": wrong })),
            ("transfers", give(foreign, wrong.clone())),
            ("holds", hold(wrong.clone())),
            ("earnings", points(wrong.clone())),
        ] {
            let reply = app.post(&at(what), &operator, body).await.expect(422);
            assert_eq!(reply.code(), "invalid_amount", "{what} {wrong}");
        }
    }
    let injected = format!("/v1/accounts/{account}'; DROP TABLE account; --/redemptions");
    for (path, token, body, status, code) in [
        (at("redemptions"), &operator, json!({ "points": 101 }), 409, "insufficient_points"),
        (at("redemptions"), &stranger, json!({ "points": 1 }), 404, "not_found"),
        (at("transfers"), &operator, give(account, json!(1)), 422, "self_transfer"),
        (at("transfers"), &operator, give(id(), json!(1)), 404, "not_found"),
        (at("transfers"), &stranger, give(foreign, json!(1)), 404, "not_found"),
        (at("holds"), &stranger, hold(json!(1)), 404, "not_found"),
        (at("holds"), &operator, hold(json!(101)), 409, "insufficient_points"),
        (path.clone(), &stranger, points(1), 403, "forbidden"),
        (path.clone(), &operator, purchase(json!({ "currency": "yen" })), 422, "invalid_currency"),
        (path.clone(), &operator, purchase(json!({ "currency": 1 })), 422, "invalid_type"),
        (path.clone(), &operator, purchase(json!({ "rate": 9 })), 422, "unknown_field"),
        (
            path.clone(),
            &operator,
            purchase(json!({ "purchase_minor": 99 })),
            422,
            "purchase_too_small",
        ),
        (
            path.clone(),
            &operator,
            purchase(json!({ "purchase_minor": i64::MAX })),
            422,
            "invalid_amount",
        ),
        (format!("/v1/holds/{}/capture", id()), &operator, json!({}), 404, "not_found"),
        (format!("/v1/holds/{}/release", id()), &stranger, json!({}), 404, "not_found"),
        (format!("/v1/transfers/{}/reversal", id()), &operator, json!({}), 404, "not_found"),
        (format!("/v1/transfers/{}/reversal", id()), &stranger, json!({}), 403, "forbidden"),
        (
            at("adjustments"),
            &operator,
            json!({ "points": 1, "reference": "x" }),
            428,
            "precondition_required",
        ),
        (injected.replace(' ', "%20"), &operator, json!({ "points": 1 }), 400, "invalid_id"),
    ] {
        let reply = app.post(&path, token, body.clone()).await.expect(status);
        assert_eq!(reply.code(), code, "{path} {body}");
    }

    let call = || app.api.post(&path).bearer(&operator);
    for (call, status, code) in [
        (call().json(points(1)), 400, "idempotency_key_required"),
        (call().key("").json(points(1)), 400, "idempotency_key_invalid"),
        (call().key(&"k".repeat(256)).json(points(1)), 400, "idempotency_key_invalid"),
        (call().key("a").key("b").json(points(1)), 400, "idempotency_key_invalid"),
        (call().key(&key()).body("application/json", "{"), 400, "malformed_json"),
        (call().key(&key()).body("text/plain", "{}"), 415, "unsupported_media_type"),
        (app.api.post(&path).key(&key()).json(points(1)), 401, "invalid_token"),
    ] {
        assert_eq!(call.send().await.expect(status).code(), code);
    }
    assert_eq!(stored(&app).await, before, "something was stored");
    // Text is only text.
    let text = "'; DROP TABLE account; -- % \\ _";
    let body = json!({ "points": 1, "merchant_id": Uuid::nil(), "reference": text });
    app.earn(account, body).await.expect(201);
    let history = app.get(&at("history"), &operator).send().await.expect(200).json();
    assert_eq!(history["items"][0]["reference"], text);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn over_grpc(db: PgPool) {
    let app = TestApp::new(db);
    let (_, _) = app.rich(100).await;
    let member: Uuid =
        sqlx::query_scalar("SELECT member_id FROM account").fetch_one(&app.db).await.unwrap();
    let good = || wanted(member, 1);
    let before = stored(&app).await;
    for (bad, code, word) in [
        (HoldRequest { points: 0, ..good() }, Code::InvalidArgument, "invalid_amount"),
        (HoldRequest { points: -1, ..good() }, Code::InvalidArgument, "invalid_amount"),
        (HoldRequest { points: 101, ..good() }, Code::Aborted, "insufficient_points"),
        (HoldRequest { member_id: id().to_string(), ..good() }, Code::NotFound, "not_found"),
        (HoldRequest { hold_id: "1".to_owned(), ..good() }, Code::InvalidArgument, "invalid_id"),
        (
            HoldRequest { expires_in_seconds: -1, ..good() },
            Code::InvalidArgument,
            "invalid_hold_time",
        ),
        (
            HoldRequest { reference: "\u{1b}[0m".to_owned(), ..good() },
            Code::InvalidArgument,
            "invalid_character",
        ),
        (
            HoldRequest { idempotency_key: String::new(), ..good() },
            Code::InvalidArgument,
            "idempotency_key_required",
        ),
    ] {
        let refused = app.hold_by_booking(bad).await.unwrap_err();
        assert_eq!((refused.code(), grpc::code(&refused).as_str()), (code, word));
    }
    let capture = CaptureRequest { idempotency_key: key(), hold_id: id().to_string(), points: 0 };
    let refused = app.holds().capture(app.by_booking(capture)).await.unwrap_err();
    assert_eq!((refused.code(), grpc::code(&refused).as_str()), (Code::NotFound, "not_found"));
    let release = ReleaseRequest { idempotency_key: key(), hold_id: String::new() };
    let refused = app.holds().release(app.by_booking(release)).await.unwrap_err();
    assert_eq!(grpc::code(&refused), "invalid_id");
    let reverse = ReverseRequest {
        idempotency_key: key(),
        transfer_id: id().to_string(),
        reference: String::new(),
    };
    let refused = app.holds().reverse(app.by_booking(reverse)).await.unwrap_err();
    assert_eq!((refused.code(), grpc::code(&refused).as_str()), (Code::NotFound, "not_found"));
    assert_eq!(stored(&app).await, before, "something was stored");
}
