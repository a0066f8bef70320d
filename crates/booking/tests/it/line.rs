//! Members are told by LINE: once, however it fails meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use booking::app::Bookings;
use booking::peers::Pace;
use booking::seal::Seal;
use chrono::TimeDelta;
use fakeline::{FakeLine, Mood};
use futures::future::join_all;
use kit::Clock;
use kit::redis::Redis;
use serde_json::json;
use sqlx::PgPool;
use testkit::{eventually, redis};
use uuid::Uuid;

use crate::app::{App, NoPoints, Shop, id, member, now, service_pool};
use crate::line_channel::{Channel, Entry, log, user};
use crate::metrics::series;

struct World {
    app: App,
    shop: Shop,
    service: Uuid,
    channel: Channel,
    line: FakeLine,
}

fn seal() -> Seal {
    Seal::new(&"a secret of 32 characters or more".into()).unwrap()
}

impl World {
    async fn new(db: PgPool) -> Self {
        let channel = Channel::new().await;
        let mut app = App::new(db).sealing();
        channel.serves(&mut app);
        let shop = app.shop().await;
        let service = app.service(&shop, 60, 0).await;
        app.working(&shop, service).await;
        let line = channel.line.clone();
        let world = Self { app, shop, service, channel, line };
        world.connect("token-1").await;
        world.join(member(2)).await;
        world
    }

    async fn connect(&self, token: &str) {
        self.channel.connect(&self.app, &self.shop, token).await;
    }

    async fn join(&self, who: Uuid) {
        self.channel.join(&self.app, &self.shop, who).await;
    }

    async fn booked(&self, who: Uuid, starts_at: &str) -> Uuid {
        let held = self.app.hold(who, &self.shop, self.service, starts_at).send().await;
        let booking = id(&held.expect(201), "booking_id");
        self.app.act(who, booking, "confirm").send().await.expect(200);
        booking
    }

    async fn send(&self) -> usize {
        self.channel.send(&self.app).await
    }

    async fn log(&self, booking: Uuid) -> Vec<Entry> {
        log(&self.app, &self.shop, booking).await
    }
}

fn entry(kind: &str, status: &str, reason: Option<&str>, attempts: i64) -> Entry {
    (kind.to_owned(), status.to_owned(), reason.map(str::to_owned), attempts)
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn who_books_and_cancels_is_told_in_the_merchants_name_and_time(db: PgPool) {
    let world = World::new(db).await;
    let booking = world.booked(member(2), "2030-01-02T09:00").await;
    world.send().await;
    world.app.act(member(2), booking, "cancel").send().await.expect(200);
    world.send().await;

    let taken = world.line.taken();
    let texts: Vec<_> = taken.iter().map(|taken| taken.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "Shears: you are booked for 2030-01-02 09:00.",
            "Shears: your booking for 2030-01-02 09:00 is cancelled.",
        ]
    );
    assert!(taken.iter().all(|taken| taken.to == user(2) && taken.token == "token-1"));
    assert_ne!(taken[0].retry_key, taken[1].retry_key);
    let sent = [entry("booked", "sent", None, 1), entry("cancelled", "sent", None, 1)];
    assert_eq!(world.log(booking).await, sent);
    assert_eq!(series("booking_notifications_total{kind=\"booked\",result=\"sent\"}"), 1);

    // Only the owner reads it; a hold that is given back, and a member who is not at LINE, are not told.
    let path = format!("/v1/bookings/{booking}/notifications");
    world.app.get(member(3), &path).send().await.expect(404);
    let held = world.app.hold(member(2), &world.shop, world.service, "2030-01-02T10:00");
    let held = id(&held.send().await.expect(201), "booking_id");
    world.app.act(member(2), held, "cancel").send().await.expect(200);
    world.booked(member(3), "2030-01-02T10:00").await;
    assert_eq!(world.send().await, 0);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn whatever_line_does_a_message_is_taken_once(db: PgPool) {
    let world = World::new(db).await;
    let hours = [9, 10, 11, 13, 14, 15];
    let moods = [
        (Mood::Answers(429), "line_429"),
        (Mood::Answers(500), "line_500"),
        (Mood::Answers(503), "line_503"),
        (Mood::Answers(401), "line_401"),
        (Mood::Hangs, "timeout"),
        (Mood::TakesAndHangs, "timeout"),
    ];
    for (hour, (mood, reason)) in hours.iter().zip(moods) {
        let booking = world.booked(member(2), &format!("2030-01-02T{hour:02}:00")).await;
        world.line.next([mood]);
        world.send().await;
        assert_eq!(world.log(booking).await, [entry("booked", "pending", Some(reason), 1)]);
        // Again with the same key, and a 409 says that it was taken.
        world.send().await;
        assert_eq!(world.log(booking).await, [entry("booked", "sent", None, 2)], "{mood:?}");
    }
    let mut keys: Vec<_> = world.line.taken().into_iter().map(|taken| taken.retry_key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!((keys.len(), world.line.brought()), (6, 12));

    // A final refusal is not retried.
    let booking = world.booked(member(2), "2030-01-02T16:00").await;
    world.line.next([Mood::Answers(400)]);
    world.send().await;
    assert_eq!(world.log(booking).await, [entry("booked", "failed", Some("line_400"), 1)]);
    assert_eq!(world.send().await, 0);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn while_line_is_away_it_is_asked_seldom_and_everything_arrives_afterwards(db: PgPool) {
    let world = World::new(db).await;
    let mut bookings = Vec::new();
    for n in 0..28 {
        let (day, hour) = (2 + n / 7, [9, 10, 11, 13, 14, 15, 16][n % 7]);
        bookings.push(world.booked(member(2), &format!("2030-01-{day:02}T{hour:02}:00")).await);
    }
    world.line.becomes(Mood::Answers(500));
    for _ in 0..5 {
        world.send().await;
    }
    // The breaker has opened after the first: of 140 attempts few were made.
    assert!(world.line.brought() <= 28, "{}", world.line.brought());
    world.line.becomes(Mood::Fine);
    eventually(Duration::from_secs(20), || async {
        world.send().await;
        (world.line.taken().len() == bookings.len()).then_some(())
    })
    .await;
    for booking in bookings {
        assert_eq!(world.log(booking).await[0].1, "sent");
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_came_too_late_or_lost_its_channel_fails_with_its_reason(db: PgPool) {
    let world = World::new(db).await;
    let old = world.booked(member(2), "2030-01-02T09:00").await;
    sqlx::query("UPDATE notification_logs SET created_at = now() - interval '1 day'")
        .execute(&world.app.db)
        .await
        .unwrap();
    let gone = world.booked(member(2), "2030-01-02T10:00").await;
    let path = format!("/v1/merchants/{}/line/contact", world.shop.merchant);
    let leave = || world.app.delete(member(2), &path).send();
    leave().await.expect(204);
    leave().await.expect(404);
    world.send().await;
    assert_eq!(world.log(gone).await, [entry("booked", "failed", Some("not_connected"), 1)]);
    world.join(member(2)).await;

    let late = world.booked(member(2), "2030-01-02T11:00").await;
    sqlx::query(
        "UPDATE notification_logs SET created_at = now() - interval '1 day' WHERE booking_id = $1",
    )
    .bind(late)
    .execute(&world.app.db)
    .await
    .unwrap();
    world.send().await;
    assert_eq!(world.log(late).await, [entry("booked", "failed", Some("gave_up"), 1)]);
    assert_eq!(world.log(old).await[0].1, "failed");
    assert_eq!(world.line.brought(), 0);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn the_day_before_a_member_is_reminded_once_of_what_is_still_booked(db: PgPool) {
    let world = World::new(db.clone()).await;
    let kept = world.booked(member(2), "2030-01-04T09:00").await;
    let cancelled = world.booked(member(2), "2030-01-04T10:00").await;
    world.app.act(member(2), cancelled, "cancel").send().await.expect(200);
    let soon = world.booked(member(2), "2030-01-02T09:00").await; // within a day: it was just said
    let far = world.booked(member(2), "2030-01-05T09:00").await;
    world.send().await;
    assert_eq!(world.app.bookings.remind().await.unwrap(), 0);

    // 2030-01-03T10:00 in Tokyo.
    let clock = Clock::fixed(now() + TimeDelta::hours(41));
    let then = Bookings::new(service_pool(&db), clock, Arc::new(NoPoints)).with_seal(Some(seal()));
    let (one, other) = tokio::join!(then.remind(), then.remind());
    assert_eq!(one.unwrap() + other.unwrap(), 1, "two replicas at once remind once");
    assert_eq!(then.remind().await.unwrap(), 0);
    world.send().await;
    let last = world.line.taken().pop().unwrap();
    assert_eq!(last.text, "Shears: we expect you on 2030-01-04 09:00.");
    assert_eq!(world.log(kept).await[1], entry("reminder", "sent", None, 1));
    for other in [soon, far] {
        assert_eq!(world.log(other).await.len(), 1);
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_token_lies_sealed_and_bad_ones_and_strangers_are_refused(db: PgPool) {
    let world = World::new(db).await;
    let sealed: Vec<u8> = sqlx::query_scalar("SELECT channel_token FROM merchant_line")
        .fetch_one(&world.app.db)
        .await
        .unwrap();
    assert!(!sealed.windows(7).any(|part| part == b"token-1"));
    world.connect("token-2").await;
    world.booked(member(2), "2030-01-02T09:00").await;
    world.send().await;
    assert_eq!(world.line.taken()[0].token, "token-2");

    let path = format!("/v1/merchants/{}/line", world.shop.merchant);
    let long = "x".repeat(1001);
    for (status, code, who, body) in [
        (422, "invalid_value", world.shop.owner, json!({ "channel_token": "" })),
        (422, "invalid_value", world.shop.owner, json!({ "channel_token": "a b" })),
        (422, "invalid_value", world.shop.owner, json!({ "channel_token": "é" })),
        (422, "invalid_value", world.shop.owner, json!({ "channel_token": long })),
        (422, "unknown_field", world.shop.owner, json!({ "channel_token": "x", "to": 1 })),
        (404, "not_found", member(2), json!({ "channel_token": "x" })),
    ] {
        let refused = world.app.put(who, &path, body).send().await;
        assert_eq!((refused.status.as_u16(), refused.code()), (status, code.to_owned()));
    }
    world.app.delete(member(2), &path).send().await.expect(404);
    let contact = format!("{path}/contact");
    let refused = world.app.put(member(2), &contact, json!({ "line_user_id": "U1" })).send().await;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "invalid_value".to_owned()));
    world.app.delete(world.shop.owner, &path).send().await.expect(204);

    let without = App::new(world.app.db.clone());
    let refused =
        without.put(world.shop.owner, &path, json!({ "channel_token": "x" })).send().await;
    assert_eq!((refused.status.as_u16(), refused.code()), (503, "line_not_configured".to_owned()));
}

/// Replicas share the pace in Redis; without it, each sends at a quarter.
#[tokio::test]
async fn two_replicas_together_keep_the_pace() {
    const RATE: u32 = 200;
    let server = redis::Server::start().await;
    for (redis, at_least) in [
        (
            Redis::new(&server.config_of("booking"), "booking", &redis::secret()).unwrap(),
            100.0 / f64::from(RATE),
        ),
        (Redis::disabled(), 50.0 / f64::from(RATE / 4)),
    ] {
        let replicas = [Pace::new(redis.clone(), RATE), Pace::new(redis, RATE)];
        let begun = Instant::now();
        // A turn is a promise; the last of a hundred is when the hundredth may leave.
        let turns = replicas.iter().flat_map(|pace| (0..50).map(move |_| pace.turn()));
        let waits = join_all(turns).await.into_iter().map(Option::unwrap);
        let last = waits.map(|wait| Instant::now() + wait).max().unwrap();
        let took = (last - begun).as_secs_f64();
        assert!(took >= 0.9 * at_least && took < 1.5 * at_least + 0.5, "{took} {at_least}");
    }
}
