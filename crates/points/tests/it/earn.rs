use futures::future::join_all;
use kit::caller::Role;
use proto::points::v1::earn_request::Basis;
use serde_json::json;
use sqlx::PgPool;

use crate::app::{TestApp, id, key, message, points, purchase};

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn what_is_earned_is_seen_at_once(db: PgPool) {
    let app = TestApp::new(db);
    let (account, token) = app.member().await;

    let receipt = app.earn(account, points(30)).await.expect(201).json();
    assert_eq!(
        (&receipt["points"], &receipt["balance"], &receipt["version"]),
        (&json!(30), &json!(30), &json!(2))
    );
    let receipt = app.earn(account, purchase(1_299)).await.expect(201).json();
    assert_eq!((&receipt["points"], &receipt["balance"]), (&json!(12), &json!(42)));

    let me = app.get("/v1/accounts/me", &token).send().await.expect(200);
    assert_eq!(me.json()["earned"], 42);
    assert_eq!(me.json()["available"], 42);
    assert_eq!(me.header("etag"), "\"3\"");
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_balance_read_before_is_refreshed_by_the_next_write(db: PgPool) {
    let app = TestApp::new(db);
    let (account, token) = app.member().await;
    for n in 1..=20 {
        app.earn(account, points(1)).await.expect(201);
        for path in ["me".to_owned(), account.to_string()] {
            let seen = app.get(&format!("/v1/accounts/{path}"), &token).send().await.expect(200);
            assert_eq!(seen.json()["earned"], n, "{path}");
        }
    }
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_hot_account_refuses_nobody(db: PgPool) {
    let app = TestApp::new(db);
    let (account, token) = app.member().await;

    let replies = join_all((1..=64).map(|n| app.earn(account, points(n)))).await;

    let mut versions: Vec<_> = replies
        .into_iter()
        .map(|reply| reply.expect(201).json()["version"].as_i64().unwrap())
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, (2..=65).collect::<Vec<_>>());
    let me = app.get("/v1/accounts/me", &token).send().await.expect(200);
    assert_eq!(me.json()["earned"], (1..=64).sum::<i64>());
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_booking_earns_for_a_member_who_has_no_account_yet(db: PgPool) {
    let app = TestApp::new(db);
    let member = id();
    app.balance_by("inspector", member).await.unwrap_err();

    // At once, so that the account is opened by one of them.
    let earnings =
        (0..8).map(|_| app.earn_by_booking(message(member, Basis::PurchaseMinor(5_000))));
    for earned in join_all(earnings).await {
        assert_eq!(earned.unwrap().points, 50);
    }

    let balance = app.balance_by("inspector", member).await.unwrap();
    assert_eq!(
        (balance.earned, balance.used, balance.available, balance.version),
        (400, 0, 400, 9)
    );
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn no_member_credits_and_whoever_sells_only_for_their_merchant(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.member().await;
    let earn = |token: &str| {
        let call = app.api.post(&format!("/v1/accounts/{account}/earnings")).bearer(token);
        call.key(&key()).json(points(1)).send()
    };

    let reply = earn(&owner).await.expect(403);
    assert_eq!(reply.code(), "forbidden");
    assert_eq!(app.entries().await, 0);
    for (role, status) in [(Role::Staff, 404), (Role::MerchantAdmin, 404), (Role::Operator, 201)] {
        earn(&app.issuer.with_roles(id(), &[role])).await.expect(status);
    }
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn only_booking_may_credit_over_grpc(db: PgPool) {
    let app = TestApp::new(db);
    let refused = app.balance_by("incidents", id()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn without_redis_everything_works(db: PgPool) {
    let app = TestApp::with_redis(&testkit::redis::none(), db);
    let (account, token) = app.member().await;
    app.earn(account, points(5)).await.expect(201);
    let me = app.get("/v1/accounts/me", &token).send().await.expect(200);
    assert_eq!(me.json()["earned"], 5);
}
