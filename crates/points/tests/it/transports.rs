//! The same failure reads the same over both transports.

use proto::points::v1::EarnRequest;
use proto::points::v1::earn_request::Basis;
use serde_json::Value;
use sqlx::PgPool;
use testkit::grpc;
use tonic::Code;
use uuid::Uuid;

use crate::app::{TestApp, id, message, points, purchase};

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn both_transports_agree(db: PgPool) {
    let app = TestApp::new(db);
    let member = id();
    app.earn_by_booking(message(member, Basis::Points(1))).await.unwrap();
    let account = app.balance_by("inspector", member).await.unwrap().account_id.parse().unwrap();
    app.tamper("UPDATE account SET earned = 9007199254740990, used = 9007199254740989").await;

    let long = "x".repeat(201);
    let with_reference = |mut body: Value, reference: &str| {
        body["reference"] = reference.into();
        body
    };
    let referring = |reference: &str| EarnRequest {
        reference: reference.to_owned(),
        ..message(member, Basis::Points(1))
    };
    let basis = |basis| message(member, basis);
    for (body, message, status, code, word) in [
        (points(0), basis(Basis::Points(0)), 422, Code::InvalidArgument, "invalid_amount"),
        (points(-1), basis(Basis::Points(-1)), 422, Code::InvalidArgument, "invalid_amount"),
        (
            points(1_000_000_001),
            basis(Basis::Points(1_000_000_001)),
            422,
            Code::InvalidArgument,
            "invalid_amount",
        ),
        (
            points(i64::MAX),
            basis(Basis::Points(i64::MAX)),
            422,
            Code::InvalidArgument,
            "invalid_amount",
        ),
        (purchase(0), basis(Basis::PurchaseMinor(0)), 422, Code::InvalidArgument, "invalid_amount"),
        (
            purchase(i64::MAX),
            basis(Basis::PurchaseMinor(i64::MAX)),
            422,
            Code::InvalidArgument,
            "invalid_amount",
        ),
        (
            purchase(99),
            basis(Basis::PurchaseMinor(99)),
            422,
            Code::FailedPrecondition,
            "purchase_too_small",
        ),
        (
            points(2),
            basis(Basis::Points(2)),
            422,
            Code::FailedPrecondition,
            "balance_limit_exceeded",
        ),
        (
            with_reference(points(1), &long),
            referring(&long),
            422,
            Code::InvalidArgument,
            "invalid_reference",
        ),
        (
            with_reference(points(1), "a\nb"),
            referring("a\nb"),
            422,
            Code::InvalidArgument,
            "invalid_character",
        ),
    ] {
        let reply = app.earn(account, body.clone()).await.expect(status);
        let refused = app.earn_by_booking(message).await.unwrap_err();
        assert_eq!((reply.code().as_str(), refused.code()), (word, code), "{body}");
        assert_eq!(grpc::code(&refused), word, "{body}");
        assert_eq!(reply.json()["detail"].as_str().unwrap(), refused.message(), "{body}");
    }
    assert_eq!(app.entries().await, 1);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn what_does_not_exist_exists_on_neither(db: PgPool) {
    let app = TestApp::new(db);
    let stranger = id();
    let reply = app.earn(stranger, points(1)).await.expect(404);
    let refused = app.balance_by("inspector", stranger).await.unwrap_err();
    assert_eq!((reply.code().as_str(), refused.code()), ("not_found", Code::NotFound));
    assert_eq!(grpc::code(&refused), "not_found");
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_malformed_message_is_refused_with_its_reason(db: PgPool) {
    let app = TestApp::new(db);
    let good = message(id(), Basis::Points(1));
    for (bad, word) in [
        (EarnRequest { member_id: "you".to_owned(), ..good.clone() }, "invalid_id"),
        (EarnRequest { merchant_id: String::new(), ..good.clone() }, "invalid_id"),
        (EarnRequest { basis: None, ..good.clone() }, "invalid_amount"),
        (
            EarnRequest { idempotency_key: String::new(), ..good.clone() },
            "idempotency_key_required",
        ),
        (
            EarnRequest { idempotency_key: "é".to_owned(), ..good.clone() },
            "idempotency_key_invalid",
        ),
        (EarnRequest { reference: "a\0b".to_owned(), ..good.clone() }, "invalid_character"),
    ] {
        let refused = app.earn_by_booking(bad).await.unwrap_err();
        assert_eq!((refused.code(), grpc::code(&refused).as_str()), (Code::InvalidArgument, word));
    }
    assert_eq!(app.entries().await, 0);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_failure_of_ours_says_nothing_about_us(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    sqlx::query("ALTER TABLE transfer RENAME COLUMN reference TO secret_plan")
        .execute(&app.db)
        .await
        .unwrap();

    let reply = app.earn(account, points(1)).await.expect(500);
    let refused = app.earn_by_booking(message(Uuid::nil(), Basis::Points(1))).await.unwrap_err();

    assert_eq!(refused.code(), Code::Internal);
    for said in [reply.text(), refused.message().to_owned()] {
        for ours in ["secret_plan", "transfer", "column", "sqlx", "INSERT"] {
            assert!(!said.contains(ours), "{said}");
        }
    }
}
