//! A repeated command has one effect and one answer.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures::future::join_all;
use kit::idempotency::{self, Key};
use sqlx::PgPool;

use crate::app::{App, id, member, now, wish};

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_hundred_twins_book_once_and_read_the_same_bytes(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;

    let twin = app.post_keyed(member(2), "/v1/bookings", wish(&shop, 60, 60), "twin");
    let replies = join_all((0..100).map(|_| twin.clone().send())).await;

    let first = &replies[0];
    for reply in &replies {
        assert_eq!((reply.status.as_u16(), &reply.body), (201, &first.body));
    }
    let replayed = |r: &&testkit::http::Reply| r.header("idempotency-replayed") == "true";
    assert_eq!(replies.iter().filter(replayed).count(), 99);
    assert_eq!(app.count("booking").await, 1);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_key_stands_for_one_request_of_one_person(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let book = |who, start| app.post_keyed(who, "/v1/bookings", wish(&shop, start, 60), "mine");

    book(member(2), 60).send().await.expect(201);
    let reused = book(member(2), 120).send().await.expect(422);
    assert_eq!(reused.code(), "idempotency_key_reused");
    book(member(3), 120).send().await.expect(201);
    assert_eq!(app.count("booking").await, 2);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_replay_answers_alike_after_the_slot_has_passed(db: PgPool) {
    let today = App::new(db.clone());
    let tomorrow = App::at(db, now() + TimeDelta::days(1));
    let shop = today.open_shop().await;
    let again = |app: &App| app.post_keyed(member(2), "/v1/bookings", wish(&shop, 60, 60), "lost");

    let first = again(&today).send().await.expect(201);
    let replay = again(&tomorrow).send().await.expect(201);
    assert_eq!(replay.body, first.body);
    let late = tomorrow.book(member(2), &shop, 180, 60).send().await.expect(422);
    assert_eq!(late.code(), "outside_booking_window");
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_key_whose_slot_was_taken_books_once_the_slot_is_free(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let taken = app.booked(member(2), &shop, 60).await;
    let wanted = app.post_keyed(member(3), "/v1/bookings", wish(&shop, 60, 60), "patient");

    wanted.clone().send().await.expect(409);
    app.act(member(2), taken, "cancel").send().await.expect(200);
    wanted.send().await.expect(201);
}

/// The slot is free again, so nothing but the key says that this was booked before.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_replay_of_what_was_cancelled_books_nothing(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let wanted = app.post_keyed(member(2), "/v1/bookings", wish(&shop, 60, 60), "lost");

    let first = wanted.clone().send().await.expect(201);
    let booking = id(&first, "booking_id");
    app.act(member(2), booking, "cancel").send().await.expect(200);
    let replay = wanted.send().await.expect(201);
    assert_eq!((&replay.body, replay.header("idempotency-replayed")), (&first.body, "true"));
    let other = app.post_keyed(member(2), "/v1/bookings", wish(&shop, 60, 30), "lost");
    assert_eq!(other.send().await.expect(422).code(), "idempotency_key_reused");
    assert_eq!(
        (app.count("booking").await, app.status(&shop, booking).await.as_str()),
        (1, "cancelled")
    );
}

/// A twin that is under way has the key, and its booking is not to be seen yet.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_twin_of_one_under_way_waits_for_its_answer(db: PgPool) {
    let app = App::new(db.clone());
    let shop = app.open_shop().await;
    let mut slow = db.begin().await.unwrap();
    // The first request has the key and waits for the lock of the calendar.
    sqlx::query("SELECT FROM staff FOR UPDATE").execute(&mut *slow).await.unwrap();

    let wanted = app.post_keyed(member(2), "/v1/bookings", wish(&shop, 60, 60), "twin");
    let twins = join_all((0..2).map(|_| wanted.clone().send()));
    let (replies, ()) = futures::join!(twins, async {
        waiting(&db, 2).await;
        slow.commit().await.unwrap();
    });
    assert_eq!(replies[0].body, replies[1].body);
    let replayed: Vec<_> =
        replies.iter().map(|r| (r.status.as_u16(), r.header("idempotency-replayed"))).collect();
    assert!(replayed.contains(&(201, "true")) && replayed.contains(&(201, "")), "{replayed:?}");
    assert_eq!(app.count("booking").await, 1);
}

/// The holder of the key may be about to book: without the key nothing is written, even if the slot is free.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn without_the_key_nothing_is_booked(db: PgPool) {
    let app = App::new(db.clone());
    let shop = app.open_shop().await;
    let wanted = app.post_keyed(member(2), "/v1/bookings", wish(&shop, 60, 60), "mine");
    let key = Key::new("mine", "POST /v1/bookings", b"").unwrap();
    let mut twin = db.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(idempotency::lock(&member(2).to_string(), &key))
        .execute(&mut *twin)
        .await
        .unwrap();

    let (reply, ()) = futures::join!(wanted.send(), async {
        waiting(&db, 1).await;
        assert_eq!(app.count("booking").await, 0);
        twin.rollback().await.unwrap();
    });
    reply.expect(201);
    assert_eq!(app.count("booking").await, 1);
}

/// Until so many sessions of this database wait for a lock.
async fn waiting(db: &PgPool, sessions: i64) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_one(db)
        .await
        .unwrap();
        if waiting >= sessions {
            return;
        }
        assert!(Instant::now() < deadline, "{waiting} wait");
        tokio::task::yield_now().await;
    }
}
