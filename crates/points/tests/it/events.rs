//! Every movement is told to the world, once, and never one that did not happen.

use std::time::Duration;

use kit::redis::Redis;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::redis::Server;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::{TestApp, key, points, uuid};

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn each_movement_has_its_event_and_a_refused_one_has_none(db: PgPool) {
    let app = TestApp::new(db);
    let (account, token) = app.rich(100).await;
    let (other, _) = app.member().await;
    let operator = app.operator();
    let of = |rest: &str| format!("/v1/accounts/{account}/{rest}");
    let post = async |path: String, token: &str, body: Value, status: u16| {
        app.post(&path, token, body).await.expect(status).json()
    };
    let hold = async || app.place(account, &token, json!({ "points": 5 })).await;

    let redeemed = post(of("redemptions"), &token, json!({ "points": 10 }), 201).await;
    post(of("redemptions"), &token, json!({ "points": 1_000 }), 409).await;
    let body = json!({ "to_account_id": other, "points": 7, "reference": "a gift" });
    post(of("transfers"), &token, body, 201).await;
    let reversal = format!("/v1/transfers/{}/reversal", uuid(&redeemed["transfer_id"]));
    post(reversal.clone(), &operator, json!({}), 201).await;
    post(reversal, &operator, json!({}), 409).await;
    let captured = hold().await;
    post(format!("/v1/holds/{captured}/capture"), &operator, json!({}), 200).await;
    let released = hold().await;
    post(format!("/v1/holds/{released}/release"), &token, json!({}), 200).await;
    let body = json!({ "points": -3, "reference": "a correction" });
    let call = app.api.post(&of("adjustments")).bearer(&operator).key(&key()).json(body);
    let version = app.standing(account).await.3;
    call.header("if-match", &format!("\"{version}\"")).send().await.expect(201);

    let kinds = "SELECT array_agg(kind ORDER BY position) FROM outbox_event";
    let kinds: Vec<String> = sqlx::query_scalar(kinds).fetch_one(&app.db).await.unwrap();
    assert_eq!(
        kinds,
        [
            "PointsEarned",
            "PointsRedeemed",
            "PointsTransferred",
            "PointsReversed",
            "PointsHeld",
            "PointsCaptured",
            "PointsHeld",
            "PointsReleased",
            "PointsAdjusted",
        ]
    );
    let apart = "SELECT count(*) FROM transfer t FULL JOIN outbox_event e ON e.id = t.transfer_id
                 WHERE t.transfer_id IS NULL OR e.id IS NULL OR e.occurred_at <> t.occurred_at";
    let apart: i64 = sqlx::query_scalar(apart).fetch_one(&app.db).await.unwrap();
    assert_eq!(apart, 0, "transfers without an event, or events without a transfer");

    let gift = "SELECT payload FROM outbox_event WHERE kind = 'PointsTransferred'";
    let gift: Value = sqlx::query_scalar(gift).fetch_one(&app.db).await.unwrap();
    assert_eq!((&gift["reference"], &gift["entries"][0]["amount"]), (&json!("a gift"), &json!(-7)));
    assert_eq!(gift["entries"][1]["account_id"], json!(other));
    assert_eq!(
        (&gift["entries"][1]["balance"], &gift["entries"][1]["version"]),
        (&json!(7), &json!(2))
    );
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn events_reach_the_stream_in_order_also_past_an_outage(db: PgPool) {
    let mut server = Server::start().await;
    let app = TestApp::with_redis(&server.config(), db);
    let (account, _) = app.rich(1).await;
    let stop = CancellationToken::new();
    tokio::spawn(app.points.clone().publish_events(stop.clone()));
    let _stop = stop.drop_guard();
    let first = stream(&server, 1).await;
    assert_eq!(
        (&first[0]["kind"], &first[0]["aggregate"]),
        (&json!("PointsEarned"), &json!(format!("account:{account}")))
    );

    server.kill();
    for n in 2..=20 {
        app.earn(account, points(n)).await.expect(201);
    }
    server.restart().await;
    let events = stream(&server, 19).await;
    let amounts: Vec<_> = events
        .iter()
        .map(|event| event["payload"]["entries"][0]["amount"].as_i64().unwrap())
        .collect();
    assert_eq!(amounts, (2..=20).collect::<Vec<_>>());
    let ids: std::collections::HashSet<Uuid> =
        events.iter().map(|event| uuid(&event["id"])).collect();
    assert_eq!(ids.len(), 19);
}

/// What is in the stream, once it holds that much.
async fn stream(server: &Server, count: usize) -> Vec<Value> {
    let redis = Redis::new(&server.config(), "points", &testkit::redis::secret()).unwrap();
    let script = "local all = redis.call('XRANGE', KEYS[1], '-', '+')
                  local found = {}
                  for i, entry in ipairs(all) do found[i] = entry[2][2] end
                  return found";
    testkit::eventually(Duration::from_secs(20), || async {
        let found: Vec<String> = redis.eval(script, "events", &[]).await.ok()?;
        let found: Vec<Value> =
            found.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        (found.len() >= count).then_some(found)
    })
    .await
}
