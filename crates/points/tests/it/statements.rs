//! A statement adds up, over any period.

use chrono::{SecondsFormat, TimeDelta};
use kit::Clock;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::app::{TestApp, id, points};

/// Seconds from now, as a query wants it.
fn time(seconds: i64) -> String {
    let at = Clock::system().now() + TimeDelta::seconds(seconds);
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

async fn statement(app: &TestApp, token: &str, from: &str, to: &str) -> Value {
    let path = format!("/v1/accounts/me/statement?from={from}&to={to}");
    app.get(&path, token).send().await.expect(200).json()
}

/// An account that moved in every way, and the moment in the middle of it.
async fn world(app: &TestApp) -> (Uuid, String, String) {
    let (account, token) = app.rich(100).await;
    let (other, _) = app.rich(1).await;
    let post = async |path: &str, body| {
        app.post(&format!("/v1/accounts/{account}/{path}"), &token, body).await.expect(201)
    };
    post("redemptions", json!({ "points": 30 })).await;
    let middle = time(0);
    app.earn(account, points(7)).await.expect(201);
    app.earn(account, points(5)).await.expect(201);
    post("transfers", json!({ "to_account_id": other, "points": 2 })).await;
    let hold = post("holds", json!({ "points": 20 })).await;
    let hold = crate::app::uuid(&hold.json()["hold_id"]);
    let capture = json!({ "points": 15 });
    app.post(&format!("/v1/holds/{hold}/capture"), &app.operator(), capture).await.expect(200);
    (account, token, middle)
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn opening_plus_what_moved_is_closing_and_one_period_ends_where_the_next_begins(db: PgPool) {
    let app = TestApp::new(db);
    let (account, token, middle) = world(&app).await;
    let (start, end) = (time(-60), time(60));

    let before = statement(&app, &token, &start, &middle).await;
    let kinds = |statement: &Value| {
        let movements = statement["movements"].as_array().unwrap().clone();
        Vec::from_iter(movements.into_iter().map(|kind| {
            let number = |name: &str| kind[name].as_i64().unwrap();
            let name = kind["kind"].as_str().unwrap().to_owned();
            (name, number("entries"), number("credited"), number("debited"))
        }))
    };
    assert_eq!((&before["opening"], &before["closing"]), (&json!(0), &json!(70)));
    assert_eq!(kinds(&before), [("earn".into(), 1, 100, 0), ("redeem".into(), 1, 0, -30)]);

    let after = statement(&app, &token, &middle, &end).await;
    assert_eq!((&after["opening"], &after["closing"]), (&json!(70), &json!(65)));
    assert_eq!(
        kinds(&after),
        [
            ("capture".into(), 2, 20, -15),
            ("earn".into(), 2, 12, 0),
            ("hold".into(), 1, 0, -20),
            ("transfer".into(), 1, 0, -2),
        ]
    );
    let (earned, used, held, _) = app.standing(account).await;
    assert_eq!(after["closing"], earned - used - held);

    let empty = statement(&app, &token, &end, &time(120)).await;
    assert_eq!(
        (&empty["opening"], &empty["closing"], &empty["movements"]),
        (&json!(65), &json!(65), &json!([]))
    );
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_statement_is_for_its_owner_and_of_a_period(db: PgPool) {
    let app = TestApp::new(db);
    let (account, token, middle) = world(&app).await;
    let path =
        |from: &str, to: &str| format!("/v1/accounts/{account}/statement?from={from}&to={to}");
    let (start, end) = (time(-60), time(60));
    for who in [&token, &app.operator()] {
        app.get(&path(&start, &end), who).send().await.expect(200);
    }
    let stranger = app.issuer.member(id());
    app.get(&path(&start, &end), &stranger).send().await.expect(404);
    for (from, to, code) in [
        (&*end, &*start, "invalid_period"),
        (&middle, &middle, "invalid_period"),
        ("yesterday", &end, "invalid_value"),
        ("-0001-01-01T00:00:00Z", &end, "invalid_period"),
    ] {
        let reply = app.get(&path(from, to), &token).send().await.expect(422);
        assert_eq!(reply.code(), code, "{from} {to}");
    }
    let half = format!("/v1/accounts/{account}/statement?from={start}");
    assert_eq!(app.get(&half, &token).send().await.expect(422).code(), "missing_field");
}
