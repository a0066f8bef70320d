//! A country changes its clocks: what was booked for ten o'clock is still at ten o'clock.

use booking::app::{Moved, Rezone, Unmended};
use booking::domain::TimeZone;
use chrono::{DateTime, MappedLocalTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::app::{App, Shop, id, member};

/// Rules by which Tokyo is ten hours ahead of UTC from 2030-06-01 on.
fn ten_hours(_: TimeZone, wall: NaiveDateTime) -> MappedLocalTime<DateTime<Utc>> {
    let change = NaiveDate::from_ymd_opt(2030, 6, 1).unwrap();
    let hours = if wall.date() < change { 9 } else { 10 };
    MappedLocalTime::Single(wall.and_utc() - TimeDelta::hours(hours))
}

async fn booked(app: &App, shop: &Shop, service: Uuid, at: &str) -> Uuid {
    let held = app.hold(member(2), shop, service, at).send().await.expect(201);
    let booking = id(&held, "booking_id");
    app.act(member(2), booking, "confirm").send().await.expect(200);
    booking
}

async fn starts_at(app: &App, booking: Uuid) -> String {
    let read = app.get(member(2), &format!("/v1/bookings/{booking}")).send().await.expect(200);
    read.json()["starts_at"].as_str().unwrap().to_owned()
}

async fn world(db: PgPool) -> (App, Shop, Uuid) {
    let app = App::new(db);
    let shop = app.shop().await;
    let service = app.service(&shop, 60, 0).await;
    app.working(&shop, service).await;
    (app, shop, service)
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn when_the_rules_change_appointments_keep_their_local_time(db: PgPool) {
    let (app, shop, service) = world(db).await;
    let before = booked(&app, &shop, service, "2030-05-31T10:00").await;
    // One after the other: each moves to where the one before was.
    let mut all = Vec::new();
    for hour in ["09:00", "10:00", "11:00"] {
        all.push(booked(&app, &shop, service, &format!("2030-06-03T{hour}")).await);
    }
    let off = booked(&app, &shop, service, "2030-06-04T10:00").await;
    app.act(member(2), off, "cancel").send().await.expect(200);
    let rezone = async |mode| app.bookings.rezone(&ten_hours, mode).await.unwrap();

    let plan = rezone(Rezone::Report).await;
    assert_eq!((plan.seen, plan.moved.len(), plan.unmended.len()), (4, 3, 0));
    assert_eq!(starts_at(&app, all[1]).await, "2030-06-03T01:00:00Z", "only looked at");

    let done = rezone(Rezone::Apply).await;
    let ten = Moved {
        booking_id: all[1],
        wall_start: "2030-06-03T10:00:00".parse().unwrap(),
        from: "2030-06-03T01:00:00Z".parse().unwrap(),
        to: "2030-06-03T00:00:00Z".parse().unwrap(),
    };
    assert!(done.moved.contains(&ten), "{:?}", done.moved);
    assert_eq!((done.moved.len(), done.unmended.len()), (3, 0));
    let now = [starts_at(&app, all[0]).await, starts_at(&app, all[2]).await];
    assert_eq!(now, ["2030-06-02T23:00:00Z", "2030-06-03T01:00:00Z"]);
    assert_eq!(starts_at(&app, before).await, "2030-05-31T01:00:00Z");
    assert!(rezone(Rezone::Apply).await.moved.is_empty(), "once is enough");

    // And back, which goes the other way.
    let back = |_: TimeZone, wall: NaiveDateTime| {
        MappedLocalTime::Single(wall.and_utc() - TimeDelta::hours(9))
    };
    let done = app.bookings.rezone(&back, Rezone::Apply).await.unwrap();
    assert_eq!((done.moved.len(), done.unmended.len()), (3, 0));
    assert_eq!(starts_at(&app, all[1]).await, "2030-06-03T01:00:00Z");
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_cannot_be_mended_is_said_and_left_alone(db: PgPool) {
    let (app, shop, service) = world(db).await;
    let ten = booked(&app, &shop, service, "2030-06-03T10:00").await;
    // Another member has booked by the new rules: their nine o'clock is the former ten o'clock.
    let nine = booked(&app, &shop, service, "2030-06-03T09:00").await;
    sqlx::query("UPDATE booking SET wall_start = '2030-06-03T10:00' WHERE booking_id = $1")
        .bind(nine)
        .execute(&app.db)
        .await
        .unwrap();
    let done = app.bookings.rezone(&ten_hours, Rezone::Apply).await.unwrap();
    assert_eq!(done.unmended, [(ten, Unmended::Taken)]);
    assert_eq!(starts_at(&app, ten).await, "2030-06-03T01:00:00Z");

    let never = |_: TimeZone, _: NaiveDateTime| MappedLocalTime::None;
    let done = app.bookings.rezone(&never, Rezone::Apply).await.unwrap();
    assert_eq!(done.unmended.len(), 2);
    assert!(done.unmended.iter().all(|(_, why)| *why == Unmended::Skipped));
}

/// A hold that is over has no slot, whenever the job comes that says so.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_hold_that_is_over_is_in_nobodys_way(db: PgPool) {
    let (app, shop, service) = world(db).await;
    let ten = booked(&app, &shop, service, "2030-06-03T10:00").await;
    let held = app.hold(member(3), &shop, service, "2030-06-03T09:00").send().await.expect(201);
    let held = id(&held, "booking_id");
    sqlx::query(
        "UPDATE booking SET wall_start = '2030-06-03T10:00',
                            created_at = created_at - interval '1 day', expires_at = now() - interval '1 second'
         WHERE booking_id = $1",
    )
    .bind(held)
    .execute(&app.db)
    .await
    .unwrap();
    let done = app.bookings.rezone(&ten_hours, Rezone::Apply).await.unwrap();
    assert_eq!(done.unmended, []);
    assert_eq!(starts_at(&app, ten).await, "2030-06-03T00:00:00Z");
    assert_eq!(app.status(&shop, held).await, "expired");
}

/// The version before writes no wall times, and moves bookings without renewing them.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_an_older_version_wrote_is_recorded_and_not_moved_by_mistake(db: PgPool) {
    let (app, shop, service) = world(db).await;
    let (old, moved) = (
        booked(&app, &shop, service, "2030-06-03T10:00").await,
        booked(&app, &shop, service, "2030-06-04T10:00").await,
    );
    sqlx::raw_sql(
        "UPDATE booking SET wall_start = NULL, wall_zone = NULL, wall_of = NULL
         WHERE lower(during) = '2030-06-03T01:00Z';
         UPDATE booking SET during = tstzrange('2030-06-05T03:00Z', '2030-06-05T04:00Z')
         WHERE lower(during) = '2030-06-04T01:00Z'",
    )
    .execute(&app.db)
    .await
    .unwrap();
    assert_eq!(app.bookings.record_wall_times().await.unwrap(), 2);
    assert_eq!(app.bookings.record_wall_times().await.unwrap(), 0);
    let wall = async |booking: Uuid| -> NaiveDateTime {
        let select = sqlx::query_scalar("SELECT wall_start FROM booking WHERE booking_id = $1");
        select.bind(booking).fetch_one(&app.db).await.unwrap()
    };
    assert_eq!(wall(old).await, "2030-06-03T10:00:00".parse().unwrap());
    assert_eq!(wall(moved).await, "2030-06-05T12:00:00".parse().unwrap());
    let plan = app.bookings.rezone(&TimeZone::instants, Rezone::Report).await.unwrap();
    assert_eq!((plan.seen, plan.moved.len()), (2, 0));
}
