//! Members hold, confirm, pay with points, cancel, move and let expire, while booking is killed every few
//! seconds, and points now and then. 60 s of it by `make campaign-booking`; 20 s here.

mod member;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use sqlx::{ConnectOptions as _, postgres::PgRow};
use sqlx::{PgConnection, Row as _};
use stack::ready::superuser;

use self::member::{Member, Salon};
use crate::bench::{Bench, within};
use crate::load::{login, operator};

const CLIENTS: usize = 32;
const START: i64 = 10_000_000;
const KILL_EVERY: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_no_snapshot_overlaps_and_booking_and_points_agree_in_the_end() {
    let seconds = stack::settings::variable("CAMPAIGN_SECONDS").map_or(20, |s| s.parse().unwrap());
    let mut bench = Bench::new("campaign").await;
    bench.set("STACK_RESTART_DELAY_MS", 50);
    bench.set("HOLDS_PER_MEMBER", 1000); // all of them are one member
    bench.set("BOOKINGS_PER_MEMBER", 1_000_000);
    bench.up().await;
    let salon = Arc::new(salon(&bench).await);

    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| tokio::spawn(Member::new(n, salon.clone()).act_until(done.clone())))
        .collect();
    let watcher = tokio::spawn(watch(database(&bench, "booking").await, done.clone()));
    let kills = kill(&bench, Duration::from_secs(seconds)).await;
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let snapshots = watcher.await.unwrap();

    let mut booking = database(&bench, "booking").await;
    let healed = end(&bench).await;
    agree(&mut booking, &mut database(&bench, "points").await).await;
    eprintln!(
        "{CLIENTS} clients, {seconds} s, {kills} kills, {snapshots} snapshots, every saga at its end \
         after {healed:.1?}: {}",
        salon.tally()
    );
    assert!(snapshots > 10 && salon.did_everything(), "{}", salon.tally());
}

/// A salon with two people, always open, and a member who is rich.
async fn salon(bench: &Bench) -> Salon {
    let client = reqwest::Client::new();
    let member = login(bench, &client, "member@example.com").await;
    let merchant = login(bench, &client, "merchant@example.com").await;
    let mut salon = Salon::new(bench.url("booking", ""), member, merchant);
    let own = bench.url("points", "/v1/accounts");
    let account = salon.post_as(&salon.member, &own, &json!({})).await;
    let account = account["account_id"].as_str().unwrap().to_owned();
    let body = json!({"points": START, "merchant_id": account, "reference": "campaign"});
    let operator = operator(bench, &client, "points").await;
    salon.post_as(&operator, &format!("{own}/{account}/earnings"), &body).await;
    salon.open().await;
    salon
}

async fn database(bench: &Bench, name: &str) -> PgConnection {
    let options = superuser(&bench.place, bench.ports.postgres).unwrap().database(name);
    options.connect().await.unwrap()
}

/// Looks again and again; how often. The constraint's own operator is not used, so that this does not
/// believe what it is to check. Meanwhile some holds come to their end.
async fn watch(mut db: PgConnection, done: Arc<AtomicBool>) -> usize {
    let mut snapshots = 0;
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    while !done.load(Ordering::Relaxed) {
        tick.tick().await;
        let overlaps: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM booking a JOIN booking b
             ON a.staff_id = b.staff_id AND a.booking_id < b.booking_id
                AND lower(a.during) < upper(b.during) AND lower(b.during) < upper(a.during)
             WHERE a.status NOT IN ('cancelled', 'no_show', 'expired')
               AND b.status NOT IN ('cancelled', 'no_show', 'expired')",
        )
        .fetch_one(&mut db)
        .await
        .unwrap();
        assert_eq!(overlaps, 0, "snapshot {snapshots}");
        sqlx::query(
            "UPDATE booking SET expires_at = now() WHERE status = 'held' AND random() < 0.1",
        )
        .execute(&mut db)
        .await
        .unwrap();
        snapshots += 1;
    }
    snapshots
}

/// Kills booking every 5 s, and points with every second time; how often.
async fn kill(bench: &Bench, campaign: Duration) -> usize {
    let begun = Instant::now();
    let mut kills = 0;
    while begun.elapsed() + KILL_EVERY < campaign {
        tokio::time::sleep(KILL_EVERY).await;
        let points = (kills % 2 == 1).then_some("points");
        for part in ["booking"].into_iter().chain(points) {
            within(Duration::from_secs(60), "it is up", || async { bench.is_ready(part) }).await;
            bench.process(part).signal(Signal::SIGKILL);
        }
        kills += 1;
    }
    kills
}

/// How long until every saga is at its end, once both services are there.
async fn end(bench: &Bench) -> Duration {
    for part in ["booking", "points"] {
        within(Duration::from_secs(60), part, || async { bench.ready(part).await.0 == 200 }).await;
    }
    within(Duration::from_secs(60), "every saga is at its end", || async {
        let mut db = database(bench, "booking").await;
        let open: i64 =
            sqlx::query_scalar("SELECT count(*) FROM saga WHERE open_since IS NOT NULL")
                .fetch_one(&mut db)
                .await
                .unwrap();
        open == 0
    })
    .await
}

/// Confirmed ⇔ captured once, failed ⇔ released once, cancelled ⇔ given back, and nothing is left over.
async fn agree(booking: &mut PgConnection, points: &mut PgConnection) {
    let sagas = sqlx::query(
        "SELECT saga_id::text, points, state, status, points_paid
         FROM saga JOIN booking USING (booking_id, merchant_id)",
    )
    .fetch_all(&mut *booking)
    .await
    .unwrap();
    let (mut spent, mut ends) = (0, [0; 3]);
    for saga in &sagas {
        let text = |column: &str| saga.get::<String, _>(column);
        let (id, amount) = (text("saga_id"), saga.get::<i64, _>("points"));
        let is_on = ["confirmed", "completed"].contains(&&*text("status"));
        let found = in_points(points, &id).await;
        let expected = match text("state").as_str() {
            "captured" => ("captured".to_owned(), 1, 0, 0),
            "reversed" => ("captured".to_owned(), 1, 0, 1),
            "released" => ("released".to_owned(), 0, i64::from(found.2 == 1), 0),
            other => panic!("{id} is {other}"),
        };
        assert_eq!(found, expected, "saga {id}: {} {}", text("state"), text("status"));
        assert_eq!(is_on, text("state") == "captured", "saga {id}: {}", text("status"));
        assert!(!is_on || saga.get::<i64, _>("points_paid") == amount, "saga {id}");
        spent += if is_on { amount } else { 0 };
        ends[["captured", "released", "reversed"]
            .iter()
            .position(|s| *s == text("state"))
            .unwrap()] += 1;
    }
    let holds: i64 = count(points, "SELECT count(*) FROM hold").await;
    assert!(holds <= i64::try_from(sagas.len()).unwrap(), "a hold that nobody asked for");
    assert_eq!(count(points, "SELECT count(*) FROM hold WHERE state = 'active'").await, 0);
    let left = count(points, "SELECT sum(earned - used - held)::bigint FROM account").await;
    assert_eq!(left, START - spent);
    eprintln!("{} sagas: captured, released, reversed {ends:?}", sagas.len());
}

/// What points knows of a saga: its hold, and how often it was captured, released and given back.
async fn in_points(points: &mut PgConnection, saga: &str) -> (String, i64, i64, i64) {
    let row: PgRow = sqlx::query(
        "SELECT state,
                (SELECT count(*) FROM transfer WHERE hold_id = h.hold_id AND kind = 'capture'),
                (SELECT count(*) FROM transfer WHERE hold_id = h.hold_id AND kind = 'release'),
                (SELECT count(*) FROM transfer r JOIN transfer c ON r.reverses = c.transfer_id
                 WHERE c.hold_id = h.hold_id AND r.kind = 'reverse')
         FROM hold h WHERE hold_id = $1::uuid",
    )
    .bind(saga)
    .fetch_one(points)
    .await
    .unwrap_or_else(|error| panic!("points knows nothing of {saga}: {error}"));
    (row.get(0), row.get(1), row.get(2), row.get(3))
}

async fn count(db: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db).await.unwrap()
}
