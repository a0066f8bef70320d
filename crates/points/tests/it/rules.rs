//! Conversion rules: the points that a purchase earns.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures::future::join_all;
use kit::Clock;
use kit::caller::Role;
use proto::points::v1::EarnRequest;
use proto::points::v1::earn_request::Basis;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::Reply;
use uuid::Uuid;

use crate::app::{TestApp, id, key, message, points, uuid};

fn time(at: DateTime<Utc>) -> Value {
    at.to_rfc3339_opts(SecondsFormat::Micros, true).into()
}

fn seconds_from_now(seconds: i64) -> Value {
    time(Clock::system().now() + TimeDelta::seconds(seconds))
}

fn rate(points: i64, per_minor: i64) -> Value {
    json!({ "points": points, "per_minor": per_minor })
}

async fn create(app: &TestApp, merchant: Uuid, body: Value) -> Reply {
    let path = format!("/v1/merchants/{merchant}/conversion-rules");
    app.post(&path, &app.operator(), body).await
}

async fn end(app: &TestApp, rule: &Value, body: Value) -> Reply {
    let path = format!("/v1/conversion-rules/{}/end", uuid(&rule["rule_id"]));
    app.post(&path, &app.operator(), body).await
}

/// The points that a purchase earns at this merchant now.
async fn earned(app: &TestApp, account: Uuid, merchant: Uuid, minor: i64) -> Reply {
    let body = json!({ "purchase_minor": minor, "merchant_id": merchant });
    app.earn(account, body).await
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_purchase_is_worth_what_the_merchants_rule_says_from_its_first_moment_to_its_last(
    db: PgPool,
) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    let (merchant, other) = (id(), id());
    let worth = async |merchant, minor| {
        earned(&app, account, merchant, minor).await.expect(201).json()["points"].clone()
    };
    // Cached, and forgotten by each change.
    assert_eq!(worth(merchant, 1_000).await, 10, "the standard rate");

    let mut body = rate(3, 100);
    body["min_purchase_minor"] = json!(500);
    let rule = create(&app, merchant, body).await.expect(201).json();
    assert_eq!(worth(merchant, 1_050).await, 31, "31.5 rounded down");
    assert_eq!(earned(&app, account, merchant, 499).await.expect(422).code(), "purchase_too_small");
    assert_eq!(worth(other, 1_000).await, 10, "another merchant's");

    end(&app, &rule, json!({})).await.expect(200);
    assert_eq!(worth(merchant, 1_000).await, 10, "the standard rate again");
    create(&app, merchant, rate(5, 100)).await.expect(201);
    assert_eq!(worth(merchant, 1_000).await, 50);

    // A currency has its own rules.
    crate::issuance::tender(&app, "EUR", 1, 1).await;
    let body = json!({ "purchase_minor": 1_000, "currency": "EUR", "merchant_id": merchant });
    assert_eq!(app.earn(account, body).await.expect(201).json()["points"], 10);
    // Plain points are what they are.
    assert_eq!(app.earn(account, points(7)).await.expect(201).json()["points"], 7);
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_rule_that_begins_later_applies_then_though_the_rules_are_cached(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    let merchant = id();
    let mut body = rate(20, 100);
    body["valid_from"] = seconds_from_now(2);
    create(&app, merchant, body).await.expect(201);
    let worth = async || {
        earned(&app, account, merchant, 100).await.expect(201).json()["points"].as_i64().unwrap()
    };
    assert_eq!(worth().await, 1);
    let began = tokio::time::Instant::now();
    testkit::eventually(Duration::from_secs(10), || async { (worth().await == 20).then_some(()) })
        .await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn of_two_rules_in_one_time_the_database_takes_one_also_from_sixteen_at_once(db: PgPool) {
    let app = TestApp::new(db);
    let merchant = id();
    let replies = join_all((1..=16).map(|n| create(&app, merchant, rate(n, 100)))).await;
    let (taken, refused): (Vec<_>, Vec<_>) =
        replies.into_iter().partition(|reply| reply.status == 201);
    assert_eq!((taken.len(), refused.len()), (1, 15));
    for reply in refused {
        assert_eq!(reply.expect(409).code(), "rule_overlaps");
    }

    // One that begins when the other ends does not overlap it; one that begins before does.
    let rule = taken[0].json();
    let at = seconds_from_now(3_600);
    end(&app, &rule, json!({ "at": at })).await.expect(200);
    let mut next = rate(9, 100);
    next["valid_from"] = seconds_from_now(3_500);
    assert_eq!(create(&app, merchant, next.clone()).await.expect(409).code(), "rule_overlaps");
    next["valid_from"] = at;
    let next = create(&app, merchant, next).await.expect(201).json();

    // It has not begun, so ending it withdraws it.
    let withdrawn = end(&app, &next, json!({})).await.expect(200).json();
    assert_eq!(withdrawn["valid_until"], withdrawn["valid_from"]);
    let path = format!("/v1/merchants/{merchant}/conversion-rules?limit=1");
    let page = app.get(&path, &app.operator()).send().await.expect(200).json();
    assert_eq!(page["items"][0]["rule_id"], rule["rule_id"]);
    assert_eq!(page["next_cursor"], Value::Null);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn nonsense_is_no_rule(db: PgPool) {
    let app = TestApp::new(db);
    let merchant = id();
    for (change, field, code) in [
        (json!({ "points": 0 }), "points", "invalid_rate"),
        (json!({ "points": 1.5 }), "points", "invalid_rate"),
        (json!({ "points": 1_000_001 }), "points", "invalid_rate"),
        (json!({ "per_minor": 0 }), "per_minor", "invalid_rate"),
        (json!({ "per_minor": "100" }), "per_minor", "invalid_rate"),
        (json!({ "min_purchase_minor": 0 }), "min_purchase_minor", "invalid_rate"),
        (json!({ "min_purchase_minor": null }), "min_purchase_minor", "invalid_rate"),
        (json!({ "currency": "yen" }), "currency", "invalid_currency"),
        (json!({ "valid_from": seconds_from_now(-60) }), "valid_until", "invalid_period"),
        (json!({ "valid_until": seconds_from_now(-60) }), "valid_until", "invalid_period"),
        (json!({ "valid_from": "tomorrow" }), "valid_from", "invalid_value"),
        (json!({ "created_by": id() }), "created_by", "unknown_field"),
    ] {
        let mut body = rate(1, 100);
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = create(&app, merchant, body).await.expect(422);
        assert_eq!(reply.fields(), [(field.to_owned(), code.to_owned())], "{change}");
    }
    let rule = create(&app, merchant, rate(1, 100)).await.expect(201).json();
    let past = json!({ "at": seconds_from_now(-60) });
    assert_eq!(end(&app, &rule, past).await.expect(422).code(), "invalid_period");
    end(&app, &rule, json!({})).await.expect(200);
    assert_eq!(end(&app, &rule, json!({})).await.expect(409).code(), "rule_ended");
    let unknown = json!({ "rule_id": id() });
    assert_eq!(end(&app, &unknown, json!({})).await.expect(404).code(), "not_found");
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM conversion_rule")
        .fetch_one(&app.db)
        .await
        .unwrap();
    assert_eq!(count, 1);
}

/// With a rule that begins at its end this was an internal error; without one, the rule was prolonged.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn an_end_never_prolongs_a_rule(db: PgPool) {
    let app = TestApp::new(db);
    for followed in [false, true] {
        let merchant = id();
        let mut body = rate(1, 100);
        body["valid_until"] = seconds_from_now(1_000);
        let rule = create(&app, merchant, body.clone()).await.expect(201).json();
        if followed {
            let mut next = rate(2, 100);
            next["valid_from"] = body["valid_until"].clone();
            create(&app, merchant, next).await.expect(201);
        }
        let later = json!({ "at": seconds_from_now(2_000) });
        assert_eq!(end(&app, &rule, later).await.expect(422).code(), "invalid_period");
        let sooner = json!({ "at": seconds_from_now(500) });
        let ended = end(&app, &rule, sooner.clone()).await.expect(200).json();
        assert_eq!(ended["valid_until"], sooner["at"]);
    }
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn who_sells_sets_rules_and_a_repeated_key_sets_one(db: PgPool) {
    let app = TestApp::new(db);
    let (merchant, owner) = app.merchant().await;
    let path = format!("/v1/merchants/{merchant}/conversion-rules");
    for role in [Role::Member, Role::Staff] {
        let token = app.issuer.with_roles(id(), &[role]);
        assert_eq!(app.post(&path, &token, rate(1, 100)).await.expect(403).code(), "forbidden");
    }
    let member = app.issuer.member(id());
    app.get(&path, &member).send().await.expect(403);

    let key = key();
    let call = app.api.post(&path).bearer(&owner).key(&key).json(rate(1, 100));
    let first = call.clone().send().await.expect(201);
    let again = call.send().await.expect(201);
    assert_eq!(first.json(), again.json());
    assert_eq!(again.header("idempotency-replayed"), "true");
    let page = app.get(&path, &owner).send().await.expect(200).json();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let cursor = "?cursor=WyIxIiwiMiJd";
    let forged = app.get(&format!("{path}{cursor}"), &owner).send().await.expect(400);
    assert_eq!(forged.code(), "invalid_cursor");
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_booking_earns_by_the_same_rule(db: PgPool) {
    let app = TestApp::new(db);
    create(&app, Uuid::nil(), rate(7, 100)).await.expect(201);
    let earned = app.earn_by_booking(message(id(), Basis::PurchaseMinor(1_000))).await.unwrap();
    assert_eq!(earned.points, 70);
    let mut wrong = message(id(), Basis::PurchaseMinor(1_000));
    wrong.currency = "bitcoin".to_owned();
    let refused = app.earn_by_booking(wrong).await.unwrap_err();
    assert_eq!(kit::error::reason(&refused).as_deref(), Some("invalid_currency"));
}

/// A purchase that is reported late earns by the rule of its time, up to 90 days back.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_booking_earns_by_the_rule_of_its_own_moment_and_currency(db: PgPool) {
    let app = TestApp::new(db);
    let in_dollars = |points: i64| json!({ "points": points, "per_minor": 100, "currency": "USD" });
    let told = |at: String, currency: &str| EarnRequest {
        currency: currency.to_owned(),
        occurred_at: at,
        ..message(id(), Basis::PurchaseMinor(1_000))
    };
    let ago = |days: i64| (Clock::system().now() - TimeDelta::days(days)).to_rfc3339();
    let worth = async |at: String, currency: &str| {
        app.earn_by_booking(told(at, currency)).await.unwrap().points
    };
    crate::issuance::tender(&app, "USD", 1, 1).await;
    // Two rules that are over: one since a moment, one since ten days, which no cache keeps.
    let old = create(&app, Uuid::nil(), in_dollars(3)).await.expect(201).json();
    end(&app, &old, json!({})).await.expect(200);
    sqlx::query("UPDATE conversion_rule SET valid = tstzrange(now() - '20 days'::interval, now() - '10 days'::interval)")
        .execute(&app.db)
        .await
        .unwrap();
    let first = create(&app, Uuid::nil(), in_dollars(7)).await.expect(201).json();
    let then = ago(0);
    end(&app, &first, json!({})).await.expect(200);
    create(&app, Uuid::nil(), in_dollars(9)).await.expect(201);

    assert_eq!(worth(then.clone(), "USD").await, 70);
    assert_eq!(worth(String::new(), "USD").await, 90, "now");
    assert_eq!(worth(ago(15), "USD").await, 30);
    assert_eq!(worth(ago(5), "USD").await, 10, "between the rules: the standard rate");
    assert_eq!(worth(then, "").await, 10, "no rule for yen");
    let ahead = (Clock::system().now() + TimeDelta::seconds(30)).to_rfc3339();
    assert_eq!(worth(ahead, "USD").await, 90, "another machine's clock");

    for at in [ago(-1), ago(91), "yesterday".to_owned()] {
        let refused = app.earn_by_booking(told(at, "USD")).await.unwrap_err();
        assert_eq!(kit::error::reason(&refused).as_deref(), Some("invalid_time"));
    }
}
