use proto::points::v1::{CaptureRequest, HoldRequest, HoldState, ReleaseRequest, ReverseRequest};
use serde_json::json;
use sqlx::PgPool;
use testkit::grpc;
use tonic::Code;
use uuid::Uuid;

use crate::app::{TestApp, id, key, wanted};

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn what_is_held_cannot_be_spent_and_is_captured_in_part(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    let hold = place(&app, account, &owner, 80).await;
    assert_eq!(app.standing(account).await, (100, 0, 80, 3));
    let refused = crate::movements::redeem(&app, account, &owner, 21).await.expect(409);
    assert_eq!(refused.code(), "insufficient_points");

    let operator = app.operator();
    let over = app.post(&capture(hold), &operator, json!({ "points": 81 })).await.expect(409);
    assert_eq!(over.code(), "capture_exceeds_hold");
    app.post(&capture(hold), &owner, json!({})).await.expect(403);
    let captured = app.post(&capture(hold), &operator, json!({ "points": 50 })).await.expect(200);
    assert_eq!(captured.json()["captured"], 50);

    assert_eq!(app.standing(account).await, (100, 50, 0, 5));
    for path in [capture(hold), release(hold)] {
        let refused = app.post(&path, &operator, json!({})).await.expect(409);
        assert_eq!(refused.code(), "hold_captured");
    }
    let seen = app.get(&format!("/v1/holds/{hold}"), &owner).send().await.expect(200).json();
    assert_eq!((&seen["state"], &seen["captured"]), (&json!("captured"), &json!(50)));
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_released_hold_is_free_and_stays_released(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    let (_, stranger) = app.member().await;
    let hold = place(&app, account, &owner, 80).await;

    app.post(&release(hold), &stranger, json!({})).await.expect(404);
    app.get(&format!("/v1/holds/{hold}"), &stranger).send().await.expect(404);
    app.post(&release(id()), &owner, json!({})).await.expect(404);
    for _ in 0..2 {
        let reply = app.post(&release(hold), &owner, json!({})).await.expect(200);
        assert_eq!(reply.json()["state"], "released");
    }
    let refused = app.post(&capture(hold), &app.operator(), json!({})).await.expect(409);
    assert_eq!(refused.code(), "hold_released");
    assert_eq!(app.standing(account).await, (100, 0, 0, 4));
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_hold_that_nobody_settles_expires(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    let hold = place(&app, account, &owner, 80).await;
    sqlx::query("UPDATE hold SET expires_at = now()").execute(&app.db).await.unwrap();

    let refused = app.post(&capture(hold), &app.operator(), json!({})).await.expect(409);
    assert_eq!(refused.code(), "hold_expired");
    app.points.expire_holds().await.unwrap();
    assert_eq!(app.standing(account).await, (100, 0, 0, 4));

    let refused = app.post(&capture(hold), &app.operator(), json!({})).await.expect(409);
    assert_eq!(refused.code(), "hold_expired");
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_saga_holds_captures_and_takes_it_back(db: PgPool) {
    let app = TestApp::new(db);
    let member = id();
    app.earn_by_booking(crate::app::message(
        member,
        proto::points::v1::earn_request::Basis::Points(100),
    ))
    .await
    .unwrap();
    let message = wanted(member, 70);
    let hold = app.hold_by_booking(message.clone()).await.unwrap();
    let again =
        app.hold_by_booking(HoldRequest { idempotency_key: key(), ..message }).await.unwrap();
    assert_eq!(hold, again);
    assert_eq!((hold.state(), hold.points), (HoldState::Active, 70));

    let capture =
        CaptureRequest { idempotency_key: key(), hold_id: hold.hold_id.clone(), points: 0 };
    let captured = app.holds().capture(app.by_booking(capture)).await.unwrap().into_inner();
    assert_eq!((captured.state(), captured.captured), (HoldState::Captured, 70));
    let reverse = ReverseRequest {
        idempotency_key: key(),
        transfer_id: captured.transfer_id,
        reference: "canceled".to_owned(),
    };
    let reversed = app.holds().reverse(app.by_booking(reverse)).await.unwrap().into_inner();

    assert_eq!((reversed.points, reversed.balance), (70, 100));
    let account = reversed.account_id.parse().unwrap();
    assert_eq!(app.standing(account).await, (100, 0, 0, 6));
    let poor = app.hold_by_booking(wanted(member, 101)).await.unwrap_err();
    assert_eq!((poor.code(), grpc::code(&poor).as_str()), (Code::Aborted, "insufficient_points"));
    app.the_books_balance().await;
}

/// Or a member would free what a booking is about to take, and have the booking all the same.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn what_a_service_holds_only_the_service_settles(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    let member = app.member_of(account).await;
    let (merchant, seller) = app.merchant().await;
    let merchant_id = merchant.to_string();
    let asked = HoldRequest { merchant_id, ..wanted(member, 70) };
    let hold = app.hold_by_booking(asked).await.unwrap();
    let hold: Uuid = hold.hold_id.parse().unwrap();

    let freed = app.post(&release(hold), &owner, json!({})).await.expect(409);
    let taken = app.post(&capture(hold), &seller, json!({ "points": 1 })).await.expect(409);
    assert_eq!((freed.code(), taken.code()), ("hold_of_service".into(), "hold_of_service".into()));

    let capture = CaptureRequest { idempotency_key: key(), hold_id: hold.to_string(), points: 0 };
    let captured = app.holds().capture(app.by_booking(capture)).await.unwrap().into_inner();
    assert_eq!((captured.state(), captured.captured), (HoldState::Captured, 70));
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_hold_that_comes_after_its_release_is_refused(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.rich(100).await;
    let member = app.member_of(account).await;
    let hold = id();
    let release = || ReleaseRequest { idempotency_key: key(), hold_id: hold.to_string() };

    for _ in 0..2 {
        let released = app.holds().release(app.by_booking(release())).await.unwrap().into_inner();
        assert_eq!((released.state(), released.account_id.as_str()), (HoldState::Released, ""));
    }
    let asked = HoldRequest { hold_id: hold.to_string(), ..wanted(member, 10) };
    let late = app.hold_by_booking(asked).await.unwrap_err();

    assert_eq!(grpc::code(&late), "hold_released");
    assert_eq!(app.standing(account).await, (100, 0, 0, 2));
    // A member may not know of it.
    app.post(&format!("/v1/holds/{hold}/release"), &app.operator(), json!({})).await.expect(404);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_hold_and_its_release_at_once_leave_nothing_held(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.rich(100).await;
    let member = app.member_of(account).await;
    for _ in 0..30 {
        let hold = id();
        let release = ReleaseRequest { idempotency_key: key(), hold_id: hold.to_string() };
        let asked = HoldRequest { hold_id: hold.to_string(), ..wanted(member, 10) };
        let mut releaser = app.holds();
        let (held, released) =
            tokio::join!(app.hold_by_booking(asked), releaser.release(app.by_booking(release)),);
        assert_eq!(released.unwrap().into_inner().state(), HoldState::Released);
        if let Err(refused) = held {
            assert_eq!(grpc::code(&refused), "hold_released");
        }
    }
    let (earned, used, held, _) = app.standing(account).await;
    assert_eq!((earned, used, held), (100, 0, 0));
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_settled_hold_is_settled_for_everybody(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    let hold = place(&app, account, &owner, 10).await;
    app.post(&release(hold), &owner, json!({})).await.expect(200);
    let again = sqlx::query("UPDATE hold SET state = 'active', settled_at = NULL");
    let error = again.execute(&app.db).await.unwrap_err().into_database_error().unwrap();
    assert_eq!(error.constraint(), Some("hold_settled_once"));
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_hold_lasts_a_second_to_a_month(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    for wrong in [0, -1, 2_678_401, i64::MAX] {
        let body = json!({ "points": 1, "expires_in_seconds": wrong });
        let path = format!("/v1/accounts/{account}/holds");
        let refused = app.post(&path, &owner, body).await.expect(422);
        assert_eq!(refused.code(), "invalid_hold_time");
    }
}

async fn place(app: &TestApp, account: Uuid, owner: &str, points: i64) -> Uuid {
    app.place(account, owner, json!({ "points": points, "reference": "booking:7" })).await
}

fn capture(hold: Uuid) -> String {
    format!("/v1/holds/{hold}/capture")
}

fn release(hold: Uuid) -> String {
    format!("/v1/holds/{hold}/release")
}

/// Members name no hold, so that none names a service's.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn the_ledger_draws_the_id_of_a_members_hold(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    let path = format!("/v1/accounts/{account}/holds");
    app.post(&path, &owner, json!({ "hold_id": id(), "points": 1 })).await.expect(422);
    let (key, body) = (key(), json!({ "points": 1 }));
    let ask = || app.api.post(&path).bearer(&owner).key(&key).json(&body).send();
    let (first, again) = (ask().await.expect(201), ask().await.expect(201));
    assert_eq!(first.body, again.body);
    let other = place(&app, account, &owner, 1).await;
    assert_ne!(first.json()["hold_id"], other.to_string());
    assert_eq!(app.standing(account).await.2, 2);
}
