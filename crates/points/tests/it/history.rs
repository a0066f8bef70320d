use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::Reply;
use uuid::Uuid;

use crate::app::{TestApp, id, points};

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_history_is_every_entry_once_newest_first(db: PgPool) {
    let app = TestApp::new(db);
    let (account, token) = app.member().await;
    for n in 1..=7 {
        app.earn(account, points(n)).await.expect(201);
    }
    let (other, _) = app.member().await;
    app.earn(other, points(99)).await.expect(201);

    let mut amounts = Vec::new();
    let mut query = "limit=3".to_owned();
    let mut pages = 0;
    loop {
        let page = history(&app, &token, &query).await.expect(200).json();
        amounts.extend(
            page["items"].as_array().unwrap().iter().map(|e| e["amount"].as_i64().unwrap()),
        );
        pages += 1;
        // An entry that comes while we turn the pages moves nothing.
        app.earn(account, points(100)).await.expect(201);
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("limit=3&cursor={cursor}"),
            None => break,
        }
    }

    assert_eq!(amounts, [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(pages, 3);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn an_entry_says_where_it_came_from_and_what_it_left(db: PgPool) {
    let app = TestApp::new(db);
    let (account, token) = app.member().await;
    let merchant = id();
    let body = json!({ "purchase_minor": 250, "merchant_id": merchant, "reference": "booking:7" });
    let receipt = app.earn(account, body).await.expect(201).json();

    let entry = history(&app, &token, "").await.expect(200).json()["items"][0].clone();

    assert_eq!(entry["entry_id"], receipt["entry_id"]);
    assert_eq!((&entry["kind"], &entry["reference"]), (&json!("earn"), &json!("booking:7")));
    assert_eq!(entry["merchant_id"], json!(merchant));
    assert_eq!(
        (&entry["amount"], &entry["balance"], &entry["version"]),
        (&json!(2), &json!(2), &json!(2))
    );
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_history_is_filtered_by_kind_and_period(db: PgPool) {
    let app = TestApp::new(db);
    let (account, token) = app.member().await;
    app.earn(account, points(1)).await.expect(201);

    for (query, found) in [
        ("kind=earn", 1),
        ("from=2020-01-01T00:00:00Z", 1),
        ("from=2020-01-01T00:00:00Z&to=2021-01-01T00:00:00%2B09:00", 0),
        ("to=2020-01-01T00:00:00Z", 0),
        ("kind=earn&from=2020-01-01T00:00:00Z&to=2999-01-01T00:00:00Z&limit=100", 1),
    ] {
        let page = history(&app, &token, query).await.expect(200).json();
        assert_eq!(page["items"].as_array().unwrap().len(), found, "{query}");
        assert_eq!(page["next_cursor"], Value::Null, "{query}");
    }
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_filter_that_makes_no_sense_is_refused(db: PgPool) {
    let app = TestApp::new(db);
    let (account, token) = app.member().await;
    let (other, other_token) = app.member().await;
    for account in [account, other] {
        app.earn(account, points(1)).await.expect(201);
        app.earn(account, points(1)).await.expect(201);
    }
    let page = history(&app, &other_token, "limit=1").await.expect(200).json();
    let stolen = format!("cursor={}", page["next_cursor"].as_str().unwrap());

    for (query, status, code) in [
        ("limit=0", 422, "invalid_limit"),
        ("limit=-1", 422, "invalid_limit"),
        ("limit=101", 422, "invalid_limit"),
        ("limit=1000000", 422, "invalid_limit"),
        ("cursor=forged", 400, "invalid_cursor"),
        ("cursor=", 400, "invalid_cursor"),
        (stolen.as_str(), 400, "invalid_cursor"),
        ("from=2021-01-01T00:00:00Z&to=2021-01-01T00:00:00Z", 422, "invalid_period"),
        ("from=%2B262142-01-01T00:00:00Z", 422, "invalid_period"),
        ("to=-262142-01-01T00:00:00Z", 422, "invalid_period"),
    ] {
        let reply = history(&app, &token, query).await.expect(status);
        assert_eq!(reply.code(), code, "{query}");
    }
    for (query, field) in [
        ("kind=theft", "kind"),
        ("kind=earn'%20OR%201=1--", "kind"),
        ("from=yesterday", "from"),
        ("sort=amount", "sort"),
        ("limit=many", "limit"),
    ] {
        let reply = history(&app, &token, query).await.expect(422);
        assert_eq!(reply.fields()[0].0, field, "{query}: {}", reply.text());
    }
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_malformed_id_is_no_id(db: PgPool) {
    let app = TestApp::new(db);
    let (_, token) = app.member().await;
    for id in ["7", "you", "%00", "..%2f..%2fetc%2fpasswd", &"a".repeat(2_000)] {
        let reply = app.get(&format!("/v1/accounts/{id}/history"), &token).send().await.expect(400);
        assert_eq!(reply.code(), "invalid_id", "{id}");
    }
    app.get(&format!("/v1/accounts/{}/history", Uuid::nil()), &token).send().await.expect(404);
}

async fn history(app: &TestApp, token: &str, query: &str) -> Reply {
    app.get(&format!("/v1/accounts/me/history?{query}"), token).send().await
}
