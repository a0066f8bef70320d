//! No double booking, under any load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use sqlx::PgPool;

use crate::app::{App, member};
use crate::storm::{answer, deadlocks};

const CLIENTS: u128 = 64;

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn of_64_who_want_one_slot_exactly_one_gets_it(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;

    for round in 0..20 {
        let wishes = (0..CLIENTS).map(|n| app.book(member(n), &shop, round * 60, 60).send());
        let replies = join_all(wishes).await;

        let (won, lost): (Vec<_>, Vec<_>) = replies.iter().partition(|r| r.status == 201);
        assert_eq!(won.len(), 1, "round {round}");
        for reply in lost {
            assert_eq!((reply.status.as_u16(), reply.code().as_str()), (409, "slot_taken"));
        }
    }
    assert_eq!((app.count("booking").await, app.overlaps().await), (20, 0));
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn clients_that_contend_for_overlapping_slots_neither_overlap_nor_deadlock(db: PgPool) {
    let app = Arc::new(App::new(db));
    let shop = app.open_shop().await;

    // Every client wants, in an order of its own, a piece of each of 40 hours. The pieces overlap in
    // many ways, also across the hour.
    let clients = (0..CLIENTS).map(|client| {
        let app = app.clone();
        tokio::spawn(async move {
            let mut took = Vec::new();
            for step in 0..40 {
                let n = i64::try_from(client).unwrap();
                let hour = (step * 7 + n) % 40;
                let (offset, minutes) =
                    (n * 15 % 45, [15, 30, 60, 75][usize::try_from(n % 4).unwrap()]);
                let call = app.book(member(client), &shop, hour * 60 + offset, minutes);
                let started = Instant::now();
                let reply = answer(call).await;
                took.push(started.elapsed());
                match reply.status.as_u16() {
                    201 => {}
                    409 => assert_eq!(reply.code(), "slot_taken"),
                    // A deadlock (40P01) would be here: it is no clean refusal.
                    _ => panic!("{}: {}", reply.status, reply.text()),
                }
            }
            took
        })
    });
    let mut took: Vec<Duration> =
        join_all(clients).await.into_iter().flat_map(|client| client.unwrap()).collect();
    took.sort_unstable();

    assert_eq!((app.overlaps().await, deadlocks(&app).await), (0, 0));
    assert!(app.count("booking").await >= 40);
    println!("{} attempts, p99 {:?}", took.len(), took[took.len() * 99 / 100]);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn back_to_back_bookings_are_no_overlap(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;

    app.book(member(2), &shop, 60, 30).send().await.expect(201);
    app.book(member(3), &shop, 90, 30).send().await.expect(201);
    app.book(member(4), &shop, 30, 30).send().await.expect(201);
    let refused = app.book(member(5), &shop, 45, 30).send().await.expect(409);
    assert_eq!(refused.code(), "slot_taken");
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn two_people_of_one_merchant_are_booked_at_the_same_time(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let other = crate::app::Shop { staff: app.staff(shop.owner, shop.merchant).await, ..shop };
    app.anytime(&other).await;

    app.book(member(2), &shop, 60, 30).send().await.expect(201);
    app.book(member(2), &other, 60, 30).send().await.expect(201);
}
