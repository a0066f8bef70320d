//! Lists from a real replica: never older than what the client has seen.

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::http::Reply;
use uuid::Uuid;

use crate::app::{App, id, member, service_pool};
use crate::metrics::series;
use crate::standby::Pair;

fn app(pair: &Pair) -> App {
    App::new(pair.primary.clone()).reading(service_pool(&pair.standby))
}

/// Returns a member's list for a client that has seen this position.
async fn list(app: &App, seen: Option<&str>) -> (Vec<Uuid>, Reply) {
    let call = app.get(member(2), "/v1/bookings");
    let call = match seen {
        Some(seen) => call.header("read-after", seen),
        None => call,
    };
    let reply = call.send().await.expect(200);
    let found = reply.json();
    let ids = found["items"].as_array().unwrap().iter();
    let ids = ids.map(|item| item["booking_id"].as_str().unwrap().parse().unwrap()).collect();
    (ids, reply)
}

fn listed(source: &str) -> u64 {
    series(&format!("booking_lists_total{{source=\"{source}\"}}"))
}

/// A list from the replica, which has what was seen sooner or later.
async fn from_replica(app: &App, seen: &str) -> (Vec<Uuid>, Reply) {
    testkit::eventually(Duration::from_secs(10), || async {
        let before = listed("replica");
        let found = list(app, Some(seen)).await;
        (listed("replica") > before).then_some(found)
    })
    .await
}

#[tokio::test]
async fn a_list_never_shows_less_than_its_reader_has_seen() {
    let pair = Pair::start("replica").await;
    let app = app(&pair);
    let shop = app.open_shop().await;
    let made = app.book(member(2), &shop, 60, 60).send().await.expect(201);
    let (first, before) = (id(&made, "booking_id"), made.header("read-after").to_owned());

    // The replica answers who can say what they have seen; others the primary does.
    let (ids, reply) = list(&app, None).await;
    assert_eq!((ids, listed("primary")), (vec![first], 1));
    assert!(reply.header("read-after") >= before.as_str());
    assert_eq!(from_replica(&app, &before).await.0, [first]);

    // The replica lags: it lacks the second booking, and the member who made it does not read from it.
    pair.pause().await;
    let made = app.book(member(2), &shop, 180, 60).send().await.expect(201);
    let (second, after) = (id(&made, "booking_id"), made.header("read-after").to_owned());
    for _ in 0..20 {
        assert_eq!(list(&app, Some(&after)).await.0, [second, first]);
    }
    assert_eq!(listed("primary_behind"), 20);
    let (old, reply) = from_replica(&app, &before).await;
    assert_eq!(old, [first], "that is what another client may still be shown");
    assert!(reply.header("read-after") < after.as_str());
    for nonsense in ["", "0", "now", "FFFFFFFFF/0", "0/0' OR true"] {
        assert_eq!(list(&app, Some(nonsense)).await.0, [second, first], "{nonsense:?}");
    }
    // A merchant that is not there yet is looked for where it is.
    let other = app.shop_of(member(8)).await;
    let path = format!("/v1/merchants/{}/staff", other.merchant);
    let staff = app.get(member(2), &path).header("read-after", &before).send().await.expect(200);
    assert_eq!(staff.json()["items"].as_array().map(Vec::len), Some(1));

    pair.resume().await;
    assert_eq!(from_replica(&app, &after).await.0, [second, first]);
}

#[tokio::test]
async fn a_replica_that_is_gone_or_its_own_master_costs_nobody_an_answer() {
    let pair = Pair::start("promoted").await;
    let app = app(&pair);
    let shop = app.open_shop().await;
    let made = app.book(member(2), &shop, 60, 60).send().await.expect(201);
    let seen = made.header("read-after").to_owned();
    from_replica(&app, &seen).await;

    pair.promote().await;
    let second = app.booked(member(2), &shop, 180).await;
    assert_eq!(list(&app, Some(&seen)).await.0[0], second, "it follows nobody any more");

    pair.stop_standby();
    let begun = Instant::now();
    for _ in 0..50 {
        assert_eq!(list(&app, Some(&seen)).await.0[0], second);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(listed("primary_away"), 50);

    // Without a replica, answers have no position.
    let alone = App::new(pair.primary.clone());
    let (ids, reply) = list(&alone, Some(&seen)).await;
    assert_eq!((ids.len(), reply.headers.get("read-after")), (2, None));
    assert_ne!(reply.json()["items"], Value::Null);
}
