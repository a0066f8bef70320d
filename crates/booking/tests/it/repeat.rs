//! A repeated command has one effect and one answer.

use chrono::TimeDelta;
use futures::future::join_all;
use sqlx::PgPool;

use crate::app::{App, member, now, wish};

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_hundred_twins_book_once_and_read_the_same_bytes(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;

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
    let shop = app.shop().await;
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
    let shop = today.shop().await;
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
    let shop = app.shop().await;
    let taken = app.booked(member(2), &shop, 60).await;
    let wanted = app.post_keyed(member(3), "/v1/bookings", wish(&shop, 60, 60), "patient");

    wanted.clone().send().await.expect(409);
    app.act(member(2), taken, "cancel").send().await.expect(200);
    wanted.send().await.expect(201);
}
