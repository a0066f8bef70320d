//! Holds that a service places for a member: what it must show, what it is told again, and what it may settle.

use std::time::Duration;

use kit::Clock;
use proto::points::v1::{
    CaptureRequest, HoldRequest, HoldResponse, ReleaseRequest, ReverseRequest, ReverseResponse,
};
use serde_json::json;
use sqlx::PgPool;
use testkit::tokens::Issuer;
use testkit::{eventually, grpc};
use tonic::Code;
use uuid::Uuid;

use crate::app::{TestApp, id, key, wanted};

async fn captured(app: &TestApp, hold: &str, points: i64) -> Result<HoldResponse, String> {
    let (idempotency_key, hold_id) = (key(), hold.to_owned());
    let message = CaptureRequest { idempotency_key, hold_id, points };
    let answer = app.holds().capture(app.by_booking(message)).await;
    answer.map(tonic::Response::into_inner).map_err(|status| grpc::code(&status))
}

async fn released(app: &TestApp, hold: &str) -> Result<HoldResponse, String> {
    let message = ReleaseRequest { idempotency_key: key(), hold_id: hold.to_owned() };
    let answer = app.holds().release(app.by_booking(message)).await;
    answer.map(tonic::Response::into_inner).map_err(|status| grpc::code(&status))
}

async fn reversed(app: &TestApp, transfer: &str) -> Result<ReverseResponse, String> {
    let (idempotency_key, transfer_id) = (key(), transfer.to_owned());
    let message = ReverseRequest { idempotency_key, transfer_id, reference: String::new() };
    let answer = app.holds().reverse(app.by_booking(message)).await;
    answer.map(tonic::Response::into_inner).map_err(|status| grpc::code(&status))
}

async fn place(app: &TestApp, account: Uuid, owner: &str, points: i64) -> Uuid {
    app.place(account, owner, json!({ "points": points })).await
}

/// The service's own token holds nobody's points.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_service_holds_only_what_its_member_granted(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    let (member, stranger, merchant) = (app.member_of(account).await, id(), Uuid::nil());
    let asked = wanted(member, 10);
    let hold: Uuid = asked.hold_id.parse().unwrap();
    let (issuer, forger) = (&app.issuer, Issuer::with_key("test-key", [8; 32], Clock::system()));
    let long_ago = Clock::fixed(Clock::system().now() - chrono::TimeDelta::hours(25));
    let long_ago = Issuer::at(long_ago).grant(member, "booking", hold, 10, merchant);
    for (grant, word) in [
        (String::new(), "grant_invalid"),
        (owner, "grant_invalid"),
        (issuer.service("booking"), "grant_invalid"),
        (forger.grant(member, "booking", hold, 10, merchant), "grant_invalid"),
        (issuer.grant(stranger, "booking", hold, 10, merchant), "grant_invalid"),
        (issuer.grant(member, "inspector", hold, 10, merchant), "grant_invalid"),
        (issuer.grant(member, "booking", id(), 10, merchant), "grant_invalid"),
        (issuer.grant(member, "booking", hold, 9, merchant), "grant_invalid"),
        (issuer.grant(member, "booking", hold, 10, id()), "grant_invalid"),
        (long_ago, "grant_expired"),
    ] {
        let message = HoldRequest { grant, ..asked.clone() };
        let refused = app.holds().hold(app.by_booking(message)).await.unwrap_err();
        let seen = (refused.code(), grpc::code(&refused));
        assert_eq!(seen, (Code::PermissionDenied, word.to_owned()));
    }
    assert_eq!(app.standing(account).await, (100, 0, 0, 2));
    app.hold_by_booking(asked).await.unwrap();
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_hold_that_exists_is_the_one_that_was_asked_for_or_it_is_refused(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    let (other, _) = app.rich(100).await;
    let asked = wanted(app.member_of(account).await, 70);
    let held = app.hold_by_booking(asked.clone()).await.unwrap();
    let again =
        |change: HoldRequest| app.hold_by_booking(HoldRequest { idempotency_key: key(), ..change });
    assert_eq!(again(asked.clone()).await.unwrap(), held);
    let member_id = app.member_of(other).await.to_string();
    for changed in [
        HoldRequest { points: 1, ..asked.clone() },
        HoldRequest { member_id, ..asked.clone() },
        HoldRequest { merchant_id: id().to_string(), ..asked.clone() },
        HoldRequest { reference: "booking:8".to_owned(), ..asked.clone() },
        // A member's own hold is no service's.
        HoldRequest { hold_id: place(&app, account, &owner, 1).await.to_string(), ..asked.clone() },
    ] {
        assert_eq!(grpc::code(&again(changed).await.unwrap_err()), "hold_exists");
    }
    assert_eq!(app.standing(account).await.2, 71);
    released(&app, &asked.hold_id).await.unwrap();
    assert_eq!(grpc::code(&again(asked).await.unwrap_err()), "hold_released");
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn what_a_service_did_is_answered_again_after_its_key_is_forgotten(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.rich(100).await;
    let hold = app.hold_by_booking(wanted(app.member_of(account).await, 70)).await.unwrap().hold_id;
    let first = captured(&app, &hold, 60).await.unwrap();
    assert_eq!((first.captured, first.transfer_id.is_empty()), (60, false));
    assert_eq!(captured(&app, &hold, 60).await, Ok(first.clone()));
    for other in [0, 59, 70] {
        assert_eq!(captured(&app, &hold, other).await, Err("hold_captured".to_owned()));
    }
    let back = reversed(&app, &first.transfer_id).await.unwrap();
    assert_eq!(reversed(&app, &first.transfer_id).await, Ok(back));
    assert_eq!(app.standing(account).await, (100, 0, 0, 6));
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_service_settles_only_what_it_placed(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    let members = place(&app, account, &owner, 10).await.to_string();
    let others = app.hold_by_booking(wanted(app.member_of(account).await, 20)).await.unwrap();
    let taken = app.hold_by_booking(wanted(app.member_of(account).await, 30)).await.unwrap();
    let taken = captured(&app, &taken.hold_id, 30).await.unwrap();
    let mine = "ALTER TABLE hold DISABLE TRIGGER hold_settled_once;
                UPDATE hold SET placed_by = 'another' WHERE placed_by = 'booking'";
    sqlx::raw_sql(mine).execute(&app.db).await.unwrap();

    let not_found = Err("not_found".to_owned());
    for hold in [&members, &others.hold_id, &taken.hold_id] {
        assert_eq!(captured(&app, hold, 1).await, not_found);
        assert_eq!(released(&app, hold).await, not_found);
    }
    let earned: Uuid = sqlx::query_scalar("SELECT transfer_id FROM transfer WHERE kind = 'earn'")
        .fetch_one(&app.db)
        .await
        .unwrap();
    for transfer in [&taken.transfer_id, &earned.to_string()] {
        assert_eq!(reversed(&app, transfer).await, Err("not_found".to_owned()));
    }
    assert_eq!(app.standing(account).await, (100, 30, 30, 7));
}

/// Locks an account until the transaction ends.
async fn lock(app: &TestApp, account: Uuid) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut somebody = app.db.begin().await.unwrap();
    let lock = sqlx::query("SELECT FROM account WHERE account_id = $1 FOR UPDATE");
    lock.bind(account).execute(&mut *somebody).await.unwrap();
    somebody
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_hold_that_cannot_expire_holds_up_none_behind_it(db: PgPool) {
    let app = TestApp::new(db);
    let (locked, owner) = app.rich(100).await;
    place(&app, locked, &owner, 1).await;
    // More than a page of holds whose accounts know nothing of them.
    for _ in 0..70 {
        let (broken, owner) = app.rich(1).await;
        place(&app, broken, &owner, 1).await;
    }
    app.tamper("UPDATE account SET held = 0 WHERE earned = 1").await;
    let (good, owner) = app.rich(100).await;
    place(&app, good, &owner, 1).await;
    sqlx::query("UPDATE hold SET expires_at = now() - interval '1 hour' + (created_at - now())")
        .execute(&app.db)
        .await
        .unwrap();
    let somebody = lock(&app, locked).await;

    let freed = |account| {
        let app = &app;
        async move { (app.standing(account).await.2 == 0).then_some(()) }
    };
    let good_is_freed = eventually(Duration::from_secs(2), || freed(good));
    tokio::join!(good_is_freed, async { app.points.expire_holds().await.unwrap() });
    somebody.rollback().await.unwrap();
    let again = || async {
        app.points.expire_holds().await.unwrap();
        freed(locked).await
    };
    eventually(Duration::from_secs(5), again).await;
}

/// Replicas of the release before know `by_service` and no `placed_by`.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_hold_is_the_same_to_replicas_of_the_release_before(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    let member = app.member_of(account).await;
    let by_service = async |hold: &str| {
        let select =
            sqlx::query_scalar::<_, bool>("SELECT by_service FROM hold WHERE hold_id = $1");
        select.bind(hold.parse::<Uuid>().unwrap()).fetch_one(&app.db).await.unwrap()
    };
    let ours = app.hold_by_booking(wanted(member, 10)).await.unwrap().hold_id;
    assert!(by_service(&ours).await, "the member does not free it there");
    let own = place(&app, account, &owner, 10).await.to_string();
    assert!(!by_service(&own).await, "the member frees it there");

    // Theirs, with the columns that they name: a hold of booking, one of the member, and a tombstone.
    let (booking, members, tombstone) = (id(), id(), id());
    for (hold, by_service) in [(booking, true), (members, false)] {
        let insert = "INSERT INTO hold (hold_id, account_id, amount, reference, state, expires_at, by_service,
                                        created_at)
                      VALUES ($1, $2, 1, '', 'active', now() + interval '1 hour', $3, now())";
        let insert = sqlx::query(insert).bind(hold).bind(account).bind(by_service);
        insert.execute(&app.db).await.unwrap();
    }
    let insert = "INSERT INTO hold (hold_id, reference, state, by_service, created_at, settled_at)
                  VALUES ($1, '', 'released', false, now(), now())";
    sqlx::query(insert).bind(tombstone).execute(&app.db).await.unwrap();
    let select = "SELECT hold_id, placed_by FROM hold WHERE hold_id = ANY ($1)";
    let select = sqlx::query_as::<_, (Uuid, Option<String>)>(select);
    let found = select.bind([booking, members, tombstone]).fetch_all(&app.db).await.unwrap();
    for (hold, placed_by) in found {
        let expected = (hold != members).then_some("booking");
        assert_eq!(placed_by.as_deref(), expected, "{hold}");
    }
}
