//! The worth of a point, and the limits on the points that a merchant may give away.

use futures::future::join_all;
use kit::Clock;
use kit::caller::Role;
use points::app::Points;
use proto::points::v1::earn_request::Basis;
use proto::points::v1::{EarnRequest, HoldRequest, MerchantRole};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::grpc;
use testkit::http::{Api, Reply};
use uuid::Uuid;

use crate::app::{TestApp, id, key, message, wanted};

async fn put(app: &TestApp, path: &str, token: &str, body: Value) -> Reply {
    app.api.put(path).bearer(token).json(body).send().await
}

async fn bound(app: &TestApp, merchant: Uuid, percent: i64, budget: i64) {
    let body = json!({ "max_rate_percent": percent, "budget_points": budget });
    put(app, &format!("/v1/merchants/{merchant}/issuance"), &app.operator(), body)
        .await
        .expect(200);
}

pub async fn tender(app: &TestApp, currency: &str, points: i64, minor: i64) {
    let body = json!({ "points": points, "minor": minor });
    let path = format!("/v1/tender-values/{currency}");
    put(app, &path, &app.operator(), body).await.expect(200);
}

fn refused(status: tonic::Status) -> String {
    grpc::code(&status)
}

/// IDR 1,000,000 are worth some JPY 10,000, and so are the points of both.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn points_of_another_currency_are_worth_what_an_operator_says(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.rich(1_000).await;
    let member = app.member_of(account).await;
    let purchase = json!({ "purchase_minor": 100_000_000, "currency": "IDR", "merchant_id": id() });
    let priced = |points, price_minor| HoldRequest {
        currency: "IDR".to_owned(),
        price_minor,
        ..wanted(member, points)
    };
    assert_eq!(
        app.earn(account, purchase.clone()).await.expect(422).code(),
        "tender_value_missing"
    );
    let none = app.hold_by_booking(priced(1, 1_000_000)).await.unwrap_err();
    assert_eq!(
        (none.code(), refused(none)),
        (tonic::Code::FailedPrecondition, "tender_value_missing".into())
    );

    tender(&app, "IDR", 1, 10_000).await;
    let earned = app.earn(account, purchase).await.expect(201).json();
    assert_eq!(earned["points"], 100, "1 % of the purchase, and not 1,000,000 points");
    assert_eq!(
        refused(app.hold_by_booking(priced(101, 1_000_000)).await.unwrap_err()),
        "exceeds_price"
    );
    let asked = priced(100, 1_000_000);
    let held = app.hold_by_booking(asked.clone()).await.unwrap();
    assert_eq!((held.points, held.value_minor), (100, 1_000_000));
    // The first answer stays, whatever a point is worth by then.
    tender(&app, "IDR", 1, 5_000).await;
    let again = app.hold_by_booking(HoldRequest { idempotency_key: key(), ..asked }).await.unwrap();
    assert_eq!(again, held);
    tender(&app, "USD", 1_000, 1).await;
    let dust = HoldRequest { currency: "USD".to_owned(), ..wanted(member, 999) };
    assert_eq!(refused(app.hold_by_booking(dust).await.unwrap_err()), "invalid_amount");
    let yen =
        app.hold_by_booking(HoldRequest { price_minor: 5, ..wanted(member, 5) }).await.unwrap();
    assert_eq!(yen.value_minor, 5);
    let over = HoldRequest { price_minor: 4, ..wanted(member, 5) };
    assert_eq!(refused(app.hold_by_booking(over).await.unwrap_err()), "exceeds_price");
    let free = HoldRequest { price_minor: 0, ..wanted(member, 5) };
    assert_eq!(refused(app.hold_by_booking(free).await.unwrap_err()), "invalid_amount");
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn an_operator_says_what_a_point_is_worth_and_everybody_reads_it(db: PgPool) {
    let app = TestApp::new(db);
    let (member, operator) = (app.issuer.member(id()), app.operator());
    let good = json!({ "points": 3, "minor": 2 });
    put(&app, "/v1/tender-values/EUR", &member, good.clone()).await.expect(403);
    put(&app, "/v1/tender-values/EUR", &operator, good).await.expect(200);
    for (currency, body, code) in [
        ("JPY", json!({ "points": 1, "minor": 2 }), "invalid_currency"),
        ("euro", json!({ "points": 1, "minor": 2 }), "invalid_currency"),
        ("USD", json!({ "points": 0, "minor": 2 }), "invalid_tender_value"),
        ("USD", json!({ "points": 1, "minor": 1_000_000_001 }), "invalid_tender_value"),
        ("USD", json!({ "points": "1", "minor": 1 }), "invalid_tender_value"),
    ] {
        let path = format!("/v1/tender-values/{currency}");
        let reply = put(&app, &path, &operator, body).await.expect(422);
        assert_eq!(reply.fields()[0].1, code);
    }
    let listed = app.get("/v1/tender-values", &member).send().await.expect(200).json();
    let expected = json!([
        { "currency": "JPY", "points": 1, "minor": 1 },
        { "currency": "EUR", "points": 3, "minor": 2 },
    ]);
    assert_eq!(listed["items"], expected);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn every_way_of_giving_points_away_counts_against_the_merchants_budget(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    let (merchant, owner) = app.merchant().await;
    bound(&app, merchant, 20, 100).await;
    let path = format!("/v1/accounts/{account}/earnings");
    let points = |points: i64| json!({ "points": points, "merchant_id": merchant });
    app.post(&path, &owner, points(50)).await.expect(201);
    app.post(&path, &owner, json!({ "purchase_minor": 2_000, "merchant_id": merchant }))
        .await
        .expect(201);
    let by_booking = |points: i64| EarnRequest {
        merchant_id: merchant.to_string(),
        ..message(id(), Basis::Points(points))
    };
    app.earn_by_booking(by_booking(29)).await.unwrap();
    let over = app.earn_by_booking(by_booking(2)).await.unwrap_err();
    assert_eq!(
        (over.code(), refused(over)),
        (tonic::Code::FailedPrecondition, "issuance_budget_exhausted".into())
    );
    for token in [&owner, &app.operator()] {
        let over = app.post(&path, token, points(2)).await.expect(422);
        assert_eq!(over.code(), "issuance_budget_exhausted");
    }
    app.post(&path, &owner, points(1)).await.expect(201);
    let path = format!("/v1/merchants/{merchant}/issuance");
    let seen = app.get(&path, &owner).send().await.expect(200).json();
    assert_eq!((&seen["used_points"], &seen["budget_points"]), (&json!(100), &json!(100)));
    app.get(&path, &app.issuer.with_roles(id(), &[Role::MerchantAdmin])).send().await.expect(404);
    put(&app, &path, &owner, json!({ "max_rate_percent": 100, "budget_points": 1_000 }))
        .await
        .expect(403);
    for wrong in [
        json!({ "max_rate_percent": 0, "budget_points": 1 }),
        json!({ "max_rate_percent": 101, "budget_points": 1 }),
        json!({ "max_rate_percent": 1, "budget_points": -1 }),
    ] {
        assert_eq!(
            put(&app, &path, &app.operator(), wrong).await.expect(422).code(),
            "invalid_bounds"
        );
    }
    let text = String::from_utf8(observability::metrics::render().1).unwrap();
    assert!(
        text.contains(r#"points_issuance_refused_total{reason="issuance_budget_exhausted"} 3"#),
        "{text}"
    );
    // Another month is another budget.
    sqlx::query("UPDATE issuance SET month = month - interval '1 month'")
        .execute(&app.db)
        .await
        .unwrap();
    app.earn_by_booking(by_booking(100)).await.unwrap();
}

/// Two replicas that both saw the same budget.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn replicas_at_once_give_away_no_more_than_the_budget(db: PgPool) {
    let app = TestApp::new(db);
    let merchant = id();
    bound(&app, merchant, 20, 50).await;
    let pool = testkit::postgres::app_pool(&app.db, "points_app");
    let redis = kit::redis::Redis::disabled();
    let other = Points::new(pool, redis, Clock::system());
    let other = Api::new(points::http::router(other, app.issuer.verifier()));
    let mut accounts = Vec::new();
    for _ in 0..80 {
        accounts.push(app.member().await.0);
    }
    let operator = app.operator();
    let calls = accounts.iter().enumerate().map(|(n, account)| {
        let api = if n % 2 == 0 { &app.api } else { &other };
        let call = api.post(&format!("/v1/accounts/{account}/earnings")).bearer(&operator);
        call.key(&key()).json(json!({ "points": 1, "merchant_id": merchant })).send()
    });
    let replies = join_all(calls).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 50);
    for reply in replies.into_iter().filter(|reply| reply.status != 201) {
        assert_eq!(reply.expect(422).code(), "issuance_budget_exhausted");
    }
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn nobody_is_given_points_at_a_merchant_of_their_own(db: PgPool) {
    let app = TestApp::new(db);
    let merchant = id();
    for role in [MerchantRole::Owner, MerchantRole::Staff] {
        let (account, _) = app.member().await;
        let member = app.member_of(account).await;
        app.joins(merchant, member, role).await;
        let roles = [Role::Member, Role::MerchantAdmin, Role::Staff];
        let own = app.issuer.with_roles(member, &roles);
        let path = format!("/v1/accounts/{account}/earnings");
        let body = json!({ "points": 1, "merchant_id": merchant });
        for token in [&own, &app.operator()] {
            let reply = app.post(&path, token, body.clone()).await.expect(422);
            assert_eq!(reply.code(), "own_merchant");
        }
        let merchant_id = merchant.to_string();
        let earning = EarnRequest { merchant_id, ..message(member, Basis::Points(1)) };
        let status = app.earn_by_booking(earning).await.unwrap_err();
        assert_eq!(
            (status.code(), refused(status)),
            (tonic::Code::FailedPrecondition, "own_merchant".into())
        );
        // Elsewhere they are members like all others.
        app.earn(account, json!({ "points": 1, "merchant_id": id() })).await.expect(201);
    }
    assert_eq!(app.entries().await, 2);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_rule_gives_no_more_than_the_merchants_highest_rate(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    let (merchant, owner) = app.merchant().await;
    let rules = format!("/v1/merchants/{merchant}/conversion-rules");
    let over =
        app.post(&rules, &owner, json!({ "points": 21, "per_minor": 100 })).await.expect(422);
    assert_eq!(over.code(), "rate_exceeds_limit");
    app.post(&rules, &owner, json!({ "points": 20, "per_minor": 100 })).await.expect(201);
    let purchase = json!({ "purchase_minor": 1_000, "merchant_id": merchant });
    assert_eq!(app.earn(account, purchase.clone()).await.expect(201).json()["points"], 200);
    // A rule of before is bounded too.
    bound(&app, merchant, 5, 1_000).await;
    assert_eq!(app.earn(account, purchase).await.expect(201).json()["points"], 50);
}
