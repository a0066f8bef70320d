//! A booking's messages leave in the order in which it changed, and none says what is not true any more.

use std::time::Duration;

use fakeline::{FakeLine, Mood};
use serde_json::json;
use sqlx::PgPool;
use testkit::eventually;
use uuid::Uuid;

use crate::app::{App, Shop, id, member};
use crate::line_channel::{Channel, Entry, log};

struct World {
    app: App,
    shop: Shop,
    service: Uuid,
    channel: Channel,
    line: FakeLine,
}

impl World {
    async fn new(db: PgPool) -> Self {
        let channel = Channel::new().await;
        let mut app = App::new(db).sealing();
        channel.serves(&mut app);
        let shop = app.shop().await;
        let service = app.service(&shop, 60, 0).await;
        app.working(&shop, service).await;
        channel.connect(&app, &shop, "token").await;
        channel.join(&app, &shop, member(2)).await;
        let line = channel.line.clone();
        Self { app, shop, service, channel, line }
    }

    async fn booked(&self, starts_at: &str) -> Uuid {
        let held = self.app.hold(member(2), &self.shop, self.service, starts_at).send().await;
        let booking = id(&held.expect(201), "booking_id");
        self.app.act(member(2), booking, "confirm").send().await.expect(200);
        booking
    }

    async fn cancel(&self, booking: Uuid) {
        self.app.act(member(2), booking, "cancel").send().await.expect(200);
    }

    async fn moves(&self, booking: Uuid, starts_at: &str) {
        let path = format!("/v1/bookings/{booking}/reschedule");
        let body = json!({ "starts_at": starts_at });
        self.app.post(member(2), &path, body).send().await.expect(200);
    }

    async fn send(&self) -> usize {
        self.channel.send(&self.app).await
    }

    async fn log(&self, booking: Uuid) -> Vec<Entry> {
        log(&self.app, &self.shop, booking).await
    }

    fn texts(&self) -> Vec<String> {
        self.line.taken().into_iter().map(|taken| taken.text).collect()
    }
}

fn entry(kind: &str, status: &str, reason: Option<&str>, attempts: i64) -> Entry {
    (kind.to_owned(), status.to_owned(), reason.map(str::to_owned), attempts)
}

const CANCELLED: &str = "Shears: your booking for 2030-01-02 09:00 is cancelled.";

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_cancellation_takes_the_place_of_what_was_not_sent_yet(db: PgPool) {
    let world = World::new(db).await;
    let booking = world.booked("2030-01-02T09:00").await;
    world.line.next([Mood::Answers(500)]);
    world.send().await;
    world.cancel(booking).await;
    while world.send().await > 0 {}
    assert_eq!(world.texts(), [CANCELLED]);
    let log = world.log(booking).await;
    let dropped = entry("booked", "dropped", Some("superseded"), 1);
    assert_eq!(log, [dropped, entry("cancelled", "sent", None, 1)]);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_is_being_sent_is_waited_for(db: PgPool) {
    let world = World::new(db).await;
    let booking = world.booked("2030-01-02T09:00").await;
    world.line.next([Mood::TakesAndHangs]);
    let later = async {
        eventually(Duration::from_secs(20), || async {
            (world.line.taken().len() == 1).then_some(())
        })
        .await;
        world.cancel(booking).await;
        // Another replica looks for what is due.
        assert_eq!(world.channel.look(&world.app).await, 0, "the first is still on its way");
    };
    tokio::join!(world.send(), later);
    while world.send().await > 0 {}
    let texts = world.texts();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("you are booked") && texts[1] == CANCELLED, "{texts:?}");
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn no_reminder_goes_out_for_what_is_cancelled_or_moved(db: PgPool) {
    let world = World::new(db).await;
    let (off, moved) =
        (world.booked("2030-01-02T09:00").await, world.booked("2030-01-02T10:00").await);
    while world.send().await > 0 {}
    world.cancel(off).await;
    world.moves(moved, "2030-01-03T10:00").await;
    // The job would write them like this.
    for booking in [off, moved] {
        sqlx::query(
            "INSERT INTO notification_logs (notification_id, merchant_id, booking_id, member_id, kind, starts_at)
             SELECT gen_random_uuid(), merchant_id, booking_id, member_id, 'reminder', starts_at
             FROM notification_logs WHERE booking_id = $1 AND kind = 'booked'",
        )
        .bind(booking)
        .execute(&world.app.db)
        .await
        .unwrap();
    }
    while world.send().await > 0 {}
    assert!(world.texts().iter().all(|text| !text.contains("we expect you")));
    for booking in [off, moved] {
        let last = world.log(booking).await.pop().unwrap();
        assert_eq!(last, entry("reminder", "dropped", Some("superseded"), 1));
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn who_moves_a_booking_is_told_each_time_and_only_where_it_is_now(db: PgPool) {
    let world = World::new(db).await;
    let booking = world.booked("2030-01-02T09:00").await;
    world.moves(booking, "2030-01-03T10:00").await;
    while world.send().await > 0 {}
    world.moves(booking, "2030-01-02T09:00").await;
    while world.send().await > 0 {}
    world.moves(booking, "2030-01-03T10:00").await;
    while world.send().await > 0 {}
    let there = "Shears: your booking has been moved to 2030-01-03 10:00.";
    let back = "Shears: your booking has been moved to 2030-01-02 09:00.";
    assert_eq!(world.texts(), [there, back, there]);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn nobody_is_told_by_line_who_has_not_proven_who_they_are_there(db: PgPool) {
    let world = World::new(db).await;
    let (app, shop, channel) = (&world.app, &world.shop, &world.channel);
    let theirs = crate::line_channel::user(7);
    let prove = async |who, code: &str| {
        let reply = channel.prove(app, shop, who, code).send().await;
        (reply.status.as_u16(), reply.code())
    };
    let wrong = || (422, "wrong_line_code".to_owned());
    assert_eq!(prove(member(3), "123456").await, wrong(), "nothing was asked");

    channel.ask(app, shop, member(3), &theirs).send().await.expect(202);
    assert_eq!(app.count("line_contact").await, 1, "only member 2's");
    let sent = world.line.taken().pop().unwrap();
    assert_eq!((sent.to, sent.token.as_str()), (theirs.clone(), "token"));
    let code = world.line.last_code().unwrap();
    let other = if code == "000000" { "000001" } else { "000000" };
    assert_eq!(prove(member(4), &code).await, wrong(), "another member's code");
    for _ in 0..5 {
        assert_eq!(prove(member(3), other).await, wrong());
    }
    assert_eq!(prove(member(3), &code).await, wrong(), "five tries were too many");

    // Too old, and used twice.
    channel.ask(app, shop, member(3), &theirs).send().await.expect(202);
    let code = world.line.last_code().unwrap();
    let age = "UPDATE line_code SET created_at = created_at - interval '10 minutes'";
    sqlx::query(age).execute(&app.db).await.unwrap();
    assert_eq!(prove(member(3), &code).await, wrong());
    channel.ask(app, shop, member(3), &theirs).send().await.expect(202);
    let code = world.line.last_code().unwrap();
    channel.prove(app, shop, member(3), &code).send().await.expect(204);
    assert_eq!(prove(member(3), &code).await, wrong());

    // The member gets no fourth code within the hour. Other members of the same LINE user still do.
    let refused = async |who, user: &str| {
        let refused = channel.ask(app, shop, who, user).send().await.expect(429);
        assert_eq!(refused.code(), "too_many_line_codes");
    };
    refused(member(3), &theirs).await;
    refused(member(3), &crate::line_channel::user(9)).await;
    for stranger in 100..127 {
        channel.ask(app, shop, member(stranger), &theirs).send().await.expect(202);
    }
    refused(member(5), &theirs).await;
    world.line.next([Mood::Answers(500)]);
    let refused = channel.ask(app, shop, member(6), &crate::line_channel::user(8)).send().await;
    assert_eq!((refused.status.as_u16(), refused.code()), (503, "line_unavailable".into()));
    assert_eq!(app.count("line_contact").await, 2);
    let sealed: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT code FROM line_code").fetch_all(&app.db).await.unwrap();
    assert!(sealed.iter().all(|sealed| !sealed.windows(6).any(|part| part == code.as_bytes())));
}
