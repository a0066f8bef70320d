use futures::future::join_all;
use proto::points::v1::EarnRequest;
use proto::points::v1::earn_request::Basis;
use sqlx::PgPool;
use testkit::grpc;

use crate::app::{TestApp, id, key, message, points, purchase};

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_hundred_posts_with_one_key_have_one_effect_and_one_answer(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    let call = app.earning(account, &key(), points(10));

    let replies = join_all((0..100).map(|_| call.clone().send())).await;

    let first = &replies[0].body;
    assert!(replies.iter().all(|reply| reply.status == 201 && reply.body == *first));
    let made = replies.iter().filter(|reply| reply.header("idempotency-replayed").is_empty());
    assert_eq!(made.count(), 1);
    assert_eq!(app.entries().await, 1);
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_key_stands_for_one_request(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    let key = key();
    // One caller: a key means nothing for another one.
    let token = app.operator();
    let earn = |body| {
        let call = app.api.post(&format!("/v1/accounts/{account}/earnings")).bearer(&token);
        call.key(&key).json(body).send()
    };
    earn(points(10)).await.expect(201);

    for other in [points(11), purchase(1_000)] {
        let reply = earn(other).await.expect(422);
        assert_eq!(reply.code(), "idempotency_key_reused");
    }

    assert_eq!(app.entries().await, 1);
    // Another caller may have had the same idea.
    app.earning(account, &key, points(11)).send().await.expect(201);
    assert_eq!(app.entries().await, 2);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn an_event_delivered_again_credits_once_and_hears_the_same(db: PgPool) {
    let app = TestApp::new(db);
    let earning = message(id(), Basis::PurchaseMinor(12_345));

    let first = app.earn_by_booking(earning.clone()).await.unwrap();
    let again = app.earn_by_booking(earning.clone()).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(app.entries().await, 1);

    let mut other = earning;
    other.basis = Some(Basis::PurchaseMinor(12_346));
    let refused = app.earn_by_booking(other).await.unwrap_err();
    assert_eq!(grpc::code(&refused), "idempotency_key_reused");
}

/// An event may be delivered again after a long weekend.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn an_event_earns_once_though_its_key_is_forgotten(db: PgPool) {
    let app = TestApp::new(db);
    let earning = message(id(), Basis::PurchaseMinor(12_345));
    let first = app.earn_by_booking(earning.clone()).await.unwrap();
    let other = message(earning.member_id.parse().unwrap(), Basis::Points(1));
    app.earn_by_booking(other).await.unwrap();

    for key in [earning.idempotency_key.clone(), key()] {
        sqlx::query("DELETE FROM idempotency_key").execute(&app.db).await.unwrap();
        let again = EarnRequest { idempotency_key: key, ..earning.clone() };
        assert_eq!(app.earn_by_booking(again).await.unwrap(), first);
    }
    for change in [
        EarnRequest { member_id: id().to_string(), ..earning.clone() },
        EarnRequest { merchant_id: id().to_string(), ..earning.clone() },
        EarnRequest { reference: "another".to_owned(), ..earning.clone() },
    ] {
        let refused = app.earn_by_booking(EarnRequest { idempotency_key: key(), ..change }).await;
        assert_eq!(grpc::code(&refused.unwrap_err()), "event_exists");
    }
    let old = kit::Clock::system().now() - chrono::TimeDelta::days(91);
    let late =
        EarnRequest { occurred_at: old.to_rfc3339(), idempotency_key: key(), ..earning.clone() };
    assert_eq!(app.earn_by_booking(late.clone()).await.unwrap(), first, "however old it is");
    let late = EarnRequest { event_id: id().to_string(), idempotency_key: key(), ..late };
    assert_eq!(grpc::code(&app.earn_by_booking(late).await.unwrap_err()), "invalid_time");
    let idempotency_key = "no UUID".to_owned();
    let none = EarnRequest { idempotency_key, event_id: String::new(), ..earning.clone() };
    assert_eq!(grpc::code(&app.earn_by_booking(none).await.unwrap_err()), "invalid_id");
    assert_eq!(app.entries().await, 2);

    // Many at once, on keys of their own.
    let event = message(id(), Basis::Points(5));
    let calls = (0..16)
        .map(|_| app.earn_by_booking(EarnRequest { idempotency_key: key(), ..event.clone() }));
    let answers = join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap() == answers[0].as_ref().unwrap()));
    assert_eq!(app.entries().await, 3);
    app.the_books_balance().await;
}

/// While booking is replaced, the one release tells an event and the other one repeats it.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn an_event_of_the_release_before_is_its_key_and_the_same_command_as_ours(db: PgPool) {
    let app = TestApp::new(db);
    let key = id().to_string();
    let earning = message(id(), Basis::PurchaseMinor(12_345));
    let before =
        EarnRequest { idempotency_key: key.clone(), event_id: String::new(), ..earning.clone() };
    let ours = EarnRequest { idempotency_key: key.clone(), event_id: key, ..earning };
    let first = app.earn_by_booking(before.clone()).await.unwrap();
    assert_eq!(app.earn_by_booking(ours.clone()).await.unwrap(), first);
    sqlx::query("DELETE FROM idempotency_key").execute(&app.db).await.unwrap();
    assert_eq!(app.earn_by_booking(ours).await.unwrap(), first);
    assert_eq!(app.earn_by_booking(before).await.unwrap(), first);
    assert_eq!(app.entries().await, 1);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_refused_command_does_not_use_up_its_key(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    let call = app.earning(account, &key(), points(1));
    app.tamper("UPDATE account SET earned = 9007199254740991").await;
    let reply = call.clone().send().await.expect(422);
    assert_eq!(reply.code(), "balance_limit_exceeded");

    app.tamper("UPDATE account SET earned = 0").await;
    call.send().await.expect(201);
}
