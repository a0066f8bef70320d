//! Many at once, at the scale at which other systems double-book.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use sqlx::PgPool;
use testkit::http::{Call, Reply};
use uuid::Uuid;

use crate::app::{App, Shop, id, member};

/// 1,000 in an optimized build (`cargo nextest run --cargo-profile load`); few of them, which find
/// the same mistakes, where a request costs ten times as much.
const SLOTS: usize = if cfg!(debug_assertions) { 50 } else { 1_000 };

/// Each of 64 clients wants each slot, all in the same order, so that they meet everywhere.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn of_64_who_want_each_of_many_slots_one_gets_each_and_the_rest_a_clean_no(db: PgPool) {
    let app = Arc::new(App::new(db).allowing(u32::MAX));
    let shop = app.open_shop().await;
    let clients = (0..64).map(|client| {
        let app = app.clone();
        tokio::spawn(async move {
            let (mut won, mut took) = (0, Vec::with_capacity(SLOTS));
            for slot in 0..i64::try_from(SLOTS).unwrap() {
                let call = app.book(member(client), &shop, slot * 30, 30);
                let started = Instant::now();
                let reply = answer(call).await;
                took.push(started.elapsed());
                won += usize::from(accepted(&reply));
            }
            (won, took)
        })
    });
    let (mut won, mut took) = (0, Vec::new());
    for client in join_all(clients).await {
        let (wins, times) = client.unwrap();
        won += wins;
        took.extend(times);
    }
    took.sort_unstable();
    let at = |percent: usize| took[took.len() * percent / 100];
    println!("{} attempts, {won} won, p50 {:?}, p99 {:?}", took.len(), at(50), at(99));
    let booked = usize::try_from(app.count("booking").await).unwrap();
    assert_eq!((won, booked, app.overlaps().await), (SLOTS, SLOTS, 0));
    assert_eq!(deadlocks(&app).await, 0);
}

/// Returns the outcome. A debug build beside other work may be slower than the server's patience with locks,
/// or than ours with 64 who wait for 16 connections: then, and in no other build, it is asked again, as the
/// answer says it may be. A deadlock among them is counted by PostgreSQL.
pub async fn answer(call: Call) -> Reply {
    loop {
        let reply = call.clone().send().await;
        let patience = ["database_busy", "database_unavailable", "overloaded"];
        let busy = reply.status == 503 && patience.contains(&&*reply.code());
        if !(cfg!(debug_assertions) && busy) {
            return reply;
        }
    }
}

/// 201 or 200, or a refusal that says why. A deadlock (40P01), a timeout or a mistake is neither.
fn accepted(reply: &Reply) -> bool {
    match reply.status.as_u16() {
        200 | 201 => true,
        409 => {
            let code = reply.code();
            assert!(
                ["slot_taken", "invalid_transition", "hold_expired"].contains(&&*code),
                "{code}"
            );
            false
        }
        _ => panic!("{}: {}", reply.status, reply.text()),
    }
}

/// PostgreSQL's own count, for this test's database.
pub async fn deadlocks(app: &App) -> i64 {
    sqlx::query_scalar("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        .fetch_one(&app.db)
        .await
        .unwrap()
}

/// 32 clients hold, confirm, cancel, move and let expire, on two people and few slots; somebody looks
/// all the time.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn whatever_32_clients_do_at_once_no_snapshot_shows_an_overlap(db: PgPool) {
    let app = Arc::new(App::new(db));
    let shop = app.shop().await;
    let service = app.service(&shop, 45, 15).await;
    let bo = Shop { staff: app.staff(shop.owner, shop.merchant).await, ..shop };
    app.working(&shop, service).await;
    app.working(&bo, service).await;

    let done = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn(watch(app.clone(), done.clone()));
    let counts: Arc<[AtomicUsize; 5]> = Arc::default();
    let clients = (0..32).map(|client| {
        let (app, counts) = (app.clone(), counts.clone());
        tokio::spawn(async move {
            for step in 0..40 {
                act(&app, [shop, bo], service, client, step, &counts).await;
            }
        })
    });
    for client in join_all(clients).await {
        client.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let snapshots = watcher.await.unwrap();

    let counts = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    println!("{snapshots} snapshots; held, confirmed, moved, cancelled, expired: {counts:?}");
    assert!(snapshots > 10 && counts.iter().all(|count| *count > 10));
    assert_eq!((app.overlaps().await, deadlocks(&app).await), (0, 0));
}

async fn watch(app: Arc<App>, done: Arc<AtomicBool>) -> usize {
    let mut snapshots = 0;
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    while !done.load(Ordering::Relaxed) {
        tick.tick().await;
        assert_eq!(app.overlaps().await, 0, "snapshot {snapshots}");
        snapshots += 1;
        // The job competes with everybody else. In a debug build it may get no connection in time, as above.
        let expired = app.bookings.expire_overdue().await;
        assert!(expired.is_ok() || cfg!(debug_assertions), "{expired:?}");
    }
    snapshots
}

/// One client's step: hold a slot, and do with it what its number says.
async fn act(
    app: &App,
    shops: [Shop; 2],
    service: Uuid,
    client: usize,
    step: usize,
    counts: &[AtomicUsize; 5],
) {
    let who = member(u128::try_from(client).unwrap());
    let time = |n: usize| {
        let (hour, quarter) = ([9, 10, 13, 14, 15][n % 5], n % 3 * 15);
        format!("2030-01-0{}T{hour:02}:{quarter:02}", 2 + n % 2)
    };
    let count = |what: usize, reply: &Reply| {
        let done = accepted(reply);
        counts[what].fetch_add(usize::from(done), Ordering::Relaxed);
        done
    };
    let random = client * 31 + step * 17;
    let mut body = json!({ "merchant_id": shops[0].merchant, "service_id": service,
                           "starts_at": time(random) });
    if !random.is_multiple_of(3) {
        body["staff_id"] = json!(shops[random % 2].staff);
    }
    let held = answer(app.post(who, "/v1/holds", body)).await;
    if !count(0, &held) {
        return;
    }
    let booking = id(&held, "booking_id");
    if random.is_multiple_of(4) {
        app.overdue(booking).await;
        counts[4].fetch_add(1, Ordering::Relaxed);
        accepted(&answer(app.act(who, booking, "confirm")).await);
        return;
    }
    count(1, &answer(app.act(who, booking, "confirm")).await);
    for attempt in 0..3 {
        let body = json!({ "starts_at": time(random + attempt * 7 + 1),
                           "staff_id": shops[attempt % 2].staff });
        let path = format!("/v1/bookings/{booking}/reschedule");
        let (moved, cancelled) = tokio::join!(answer(app.post(who, &path, body)), async {
            // The last move races with the end.
            if attempt == 2 { Some(answer(app.act(who, booking, "cancel")).await) } else { None }
        },);
        count(2, &moved);
        if let Some(cancelled) = cancelled {
            assert!(count(3, &cancelled), "nobody else ends it");
        }
    }
}
