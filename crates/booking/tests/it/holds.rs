//! A hold keeps a slot for 10 minutes, and not longer.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::app::{App, Shop, id, member, now};

/// A shop whose person gives a service of this length from 09:00 to 17:00.
async fn open(app: &App, minutes: i64, buffer: i64) -> (Shop, Uuid) {
    let shop = app.shop().await;
    let service = app.service(&shop, minutes, buffer).await;
    app.working(&shop, service).await;
    (shop, service)
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_hold_is_confirmed_and_confirming_twice_is_confirming_once(db: PgPool) {
    let app = App::new(db);
    let (shop, service) = open(&app, 60, 15).await;

    let held = app.hold(member(2), &shop, service, "2030-01-02T09:00").send().await.expect(201);
    let booking = id(&held, "booking_id");
    let held = held.json();
    assert_eq!(
        (&held["status"], &held["starts_at"]),
        (&json!("held"), &json!("2030-01-02T00:00:00Z"))
    );
    assert_eq!(
        (&held["ends_at"], &held["price_minor"]),
        (&json!("2030-01-02T01:00:00Z"), &json!(5000))
    );
    assert_eq!(held["service_id"], json!(service));
    let expires_at: DateTime<Utc> = held["expires_at"].as_str().unwrap().parse().unwrap();
    let left: f64 = sqlx::query_scalar("SELECT extract(epoch FROM $1 - now())::float8")
        .bind(expires_at)
        .fetch_one(&app.db)
        .await
        .unwrap();
    assert!((540.0..=600.0).contains(&left), "{left} s");

    let replies = join_all((0..8).map(|_| app.act(member(2), booking, "confirm").send())).await;
    for reply in replies {
        let confirmed = reply.expect(200).json();
        assert_eq!(
            (&confirmed["status"], &confirmed["expires_at"]),
            (&json!("confirmed"), &Value::Null)
        );
    }
    let version: i64 =
        sqlx::query_scalar("SELECT version FROM booking").fetch_one(&app.db).await.unwrap();
    assert_eq!(version, 2);
    let read = app.get(member(2), &format!("/v1/bookings/{booking}")).send().await.expect(200);
    assert_eq!(read.json()["ends_at"], "2030-01-02T01:00:00Z");
}

/// The job has not run yet. No request waits for it.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn an_expired_hold_is_expired_at_once_for_everyone(db: PgPool) {
    let app = App::new(db);
    let (shop, service) = open(&app, 60, 0).await;
    let at_nine = |who| app.hold(member(who), &shop, service, "2030-01-02T09:00").send();
    let search = format!(
        "/v1/merchants/{}/slots?service_id={service}&from=2030-01-02&to=2030-01-03",
        shop.merchant
    );
    let first_slot = || async {
        app.get(member(5), &search).send().await.json()["items"][0]["starts_at"].clone()
    };

    let hold = id(&at_nine(2).await.expect(201), "booking_id");
    assert_eq!(first_slot().await, "2030-01-02T10:00:00+09:00");
    assert_eq!(at_nine(3).await.expect(409).code(), "slot_taken");
    let listed = async |status: &str| {
        let mine = app.get(member(2), &format!("/v1/bookings?status={status}")).send().await;
        mine.expect(200).json()["items"].as_array().unwrap().len()
    };
    assert_eq!((listed("held").await, listed("expired").await), (1, 0));

    app.overdue(hold).await;
    assert_eq!(first_slot().await, "2030-01-02T09:00:00+09:00");
    assert_eq!(app.status(&shop, hold).await, "expired");
    assert_eq!((listed("held").await, listed("expired").await), (0, 1));
    for verb in ["confirm", "cancel"] {
        let refused = app.act(member(2), hold, verb).send().await.expect(409);
        assert_eq!(refused.code(), "hold_expired");
    }
    let next = id(&at_nine(3).await.expect(201), "booking_id");
    app.act(member(3), next, "confirm").send().await.expect(200);

    // It does not come back, and a booking by its times alone gets an expired slot as well.
    assert_eq!(app.status(&shop, hold).await, "expired");
    let other = app.hold(member(2), &shop, service, "2030-01-02T13:00").send().await.expect(201);
    app.overdue(id(&other, "booking_id")).await;
    let body = json!({ "merchant_id": shop.merchant, "staff_id": shop.staff,
                       "starts_at": "2030-01-02T04:30:00Z", "ends_at": "2030-01-02T05:00:00Z" });
    app.post(shop.owner, "/v1/bookings", body).send().await.expect(201);
    assert_eq!(app.overlaps().await, 0);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn the_job_ends_holds_that_are_over_and_nothing_else(db: PgPool) {
    let app = App::new(db);
    let (shop, service) = open(&app, 30, 0).await;
    let mut made = Vec::new();
    for time in ["09:00", "09:30", "10:00", "10:30"] {
        let held = app.hold(member(2), &shop, service, &format!("2030-01-02T{time}")).send().await;
        made.push(id(&held.expect(201), "booking_id"));
    }
    app.overdue(made[0]).await;
    app.overdue(made[1]).await;
    app.act(member(2), made[3], "confirm").send().await.expect(200);

    assert_eq!(app.bookings.expire_overdue().await.unwrap(), 2);
    assert_eq!(app.bookings.expire_overdue().await.unwrap(), 0);
    assert_eq!(crate::metrics::series("booking_holds_expired_total"), 2);
    let statuses: Vec<String> = sqlx::query_scalar("SELECT status FROM booking ORDER BY during")
        .fetch_all(&app.db)
        .await
        .unwrap();
    assert_eq!(statuses, ["expired", "expired", "held", "confirmed"]);
}

/// A confirmation that was in time commits while the job runs.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_hold_that_is_being_confirmed_does_not_expire_meanwhile(db: PgPool) {
    let app = App::new(db);
    let (shop, service) = open(&app, 30, 0).await;
    let held = app.hold(member(2), &shop, service, "2030-01-02T09:00").send().await.expect(201);
    let booking = id(&held, "booking_id");
    app.overdue(booking).await;
    let mut confirming = app.db.begin().await.unwrap();
    sqlx::query("UPDATE booking SET status = 'confirmed', expires_at = NULL WHERE booking_id = $1")
        .bind(booking)
        .execute(&mut *confirming)
        .await
        .unwrap();
    let bookings = app.bookings.clone();
    let job = tokio::spawn(async move { bookings.expire_overdue().await });
    // It is through, or waits for the row.
    testkit::eventually(std::time::Duration::from_secs(5), || async {
        let waiting: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
                            WHERE NOT granted AND datname = current_database())",
        )
        .fetch_one(&app.db)
        .await
        .unwrap();
        (waiting || job.is_finished()).then_some(())
    })
    .await;
    confirming.commit().await.unwrap();
    assert_eq!(job.await.unwrap().unwrap(), 0);
    assert_eq!(app.status(&shop, booking).await, "confirmed");
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn whoever_is_free_is_taken_until_nobody_is(db: PgPool) {
    let app = App::new(db);
    let (shop, service) = open(&app, 60, 0).await;
    let bo = Shop { staff: app.staff(shop.owner, shop.merchant).await, ..shop };
    app.working(&bo, service).await;
    let anybody = json!({ "merchant_id": shop.merchant, "service_id": service,
                          "starts_at": "2030-01-02T09:00" });

    let wishes = (0..16).map(|who| app.post(member(who), "/v1/holds", anybody.clone()).send());
    let replies = join_all(wishes).await;
    let mut took: Vec<Uuid> =
        replies.iter().filter(|r| r.status == 201).map(|r| id(r, "staff_id")).collect();
    took.sort_unstable();
    let mut both = [shop.staff, bo.staff];
    both.sort_unstable();
    assert_eq!(took, both);
    let lost = replies.iter().filter(|r| r.status == 409 && r.code() == "slot_taken").count();
    assert_eq!((lost, app.overlaps().await), (14, 0));
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn the_buffer_keeps_others_out_and_the_member_does_not_see_it(db: PgPool) {
    let app = App::new(db);
    let (shop, service) = open(&app, 30, 15).await;
    app.hold(member(2), &shop, service, "2030-01-02T10:00").send().await.expect(201);

    for taken in ["2030-01-02T10:30", "2030-01-02T09:30"] {
        let refused = app.hold(member(3), &shop, service, taken).send().await.expect(409);
        assert_eq!(refused.code(), "slot_taken", "{taken}");
    }
    for free in ["2030-01-02T10:45", "2030-01-02T09:15"] {
        app.hold(member(3), &shop, service, free).send().await.expect(201);
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_hold_that_breaks_a_rule_is_refused_by_name(db: PgPool) {
    let app = App::new(db);
    let (shop, service) = open(&app, 60, 0).await;
    let other = app.shop_of(member(8)).await;
    let idle = app.staff(shop.owner, shop.merchant).await;
    let foreign = app.service(&other, 60, 0).await;
    let at = |time: &str| json!({ "starts_at": time });
    let closed = json!({ "starts_at": "2030-01-05T00:00", "ends_at": "2030-01-06T00:00" });
    let path = format!("/v1/merchants/{}/closures", shop.merchant);
    app.post(shop.owner, &path, closed).send().await.expect(201);

    for (status, code, change) in [
        (422, "outside_booking_window", at("2030-01-01T16:45")), // it is 17:00
        (422, "outside_booking_window", at("2031-03-01T09:00")),
        (422, "outside_booking_window", at("0001-01-01T00:00")),
        (422, "outside_booking_window", at("9999-12-31T23:45")),
        (422, "off_grid", at("2030-01-02T09:10")),
        (422, "off_grid", at("2030-01-02T09:00:01")),
        (422, "outside_hours", at("2030-01-02T08:45")),
        (422, "outside_hours", at("2030-01-02T11:15")), // into the break
        (422, "outside_hours", at("2030-01-02T16:15")),
        (422, "outside_hours", at("2030-01-05T10:00")), // closed
        (422, "invalid_value", at("tomorrow")),
        (422, "staff_not_qualified", json!({ "staff_id": idle })),
        (404, "not_found", json!({ "staff_id": other.staff })),
        (404, "not_found", json!({ "service_id": foreign })),
        (404, "not_found", json!({ "merchant_id": other.merchant })),
        (422, "unknown_field", json!({ "price_minor": 0 })),
    ] {
        let mut body = json!({ "merchant_id": shop.merchant, "service_id": service,
                               "staff_id": shop.staff, "starts_at": "2030-01-02T09:00" });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = app.post(member(2), "/v1/holds", body).send().await;
        let seen = (reply.status.as_u16(), reply.code());
        assert_eq!(seen, (status, code.to_owned()), "{change} {}", reply.text());
    }
    assert_eq!(app.count("booking").await, 0);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_member_cancels_within_the_merchants_terms_and_the_owner_always(db: PgPool) {
    let app = App::new(db.clone());
    let owner = member(1);
    let body =
        json!({ "name": "Shears", "time_zone": "Asia/Tokyo", "cancellation_notice_minutes": 120 });
    let merchant =
        id(&app.post(owner, "/v1/merchants", body).send().await.expect(201), "merchant_id");
    let shop = Shop { owner, merchant, staff: app.staff(owner, merchant).await };
    app.anytime(&shop).await;

    let early = app.booked(member(2), &shop, 120).await;
    let late = app.booked(member(2), &shop, 60).await;
    app.act(member(2), early, "cancel").send().await.expect(200);
    let refused = app.act(member(2), late, "cancel").send().await.expect(422);
    assert_eq!(refused.code(), "cancellation_window_closed");
    let to = json!({ "starts_at": "2030-01-03T09:00" });
    let move_it = app.post(member(2), &format!("/v1/bookings/{late}/reschedule"), to);
    assert_eq!(move_it.send().await.expect(422).code(), "cancellation_window_closed");
    app.act(owner, late, "cancel").send().await.expect(200);

    // A hold is no promise yet: it is given back at any time.
    let service = app.service(&shop, 30, 0).await;
    app.working(&shop, service).await;
    let dawn = App::at(db, "2030-01-02T00:00:00Z".parse().unwrap());
    let hold = dawn.hold(member(2), &shop, service, "2030-01-02T09:30").send().await.expect(201);
    dawn.act(member(2), id(&hold, "booking_id"), "cancel").send().await.expect(200);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn nobody_misses_what_has_not_begun_and_a_missed_slot_is_free(db: PgPool) {
    let app = App::new(db.clone());
    let shop = app.open_shop().await;
    let booking = app.booked(member(2), &shop, 60).await;

    let early = app.act(shop.owner, booking, "no-show").send().await.expect(422);
    assert_eq!(early.code(), "not_started");
    app.act(member(2), booking, "no-show").send().await.expect(404);

    let later = App::at(db, now() + TimeDelta::minutes(75));
    let missed = later.post_keyed(
        shop.owner,
        &format!("/v1/bookings/{booking}/no-show"),
        json!({}),
        "missed",
    );
    assert_eq!(missed.send().await.expect(200).json()["status"], "no_show");
    for verb in ["no-show", "cancel", "confirm", "complete"] {
        let path = format!("/v1/bookings/{booking}/{verb}");
        let again = later.post_keyed(shop.owner, &path, json!({}), &format!("again-{verb}"));
        assert_eq!(again.send().await.expect(409).code(), "invalid_transition", "{verb}");
    }
    later.book(member(3), &shop, 90, 30).send().await.expect(201);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_member_holds_ten_slots_at_most_however_they_ask(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    let service = app.service(&shop, 30, 0).await;
    app.working(&shop, service).await;
    let calls = (0..16).map(|n| {
        let time = format!("2030-01-{:02}T{:02}:00", 2 + n / 3, 9 + n % 3);
        let call = app.hold(member(2), &shop, service, &time);
        async move {
            // A database that is busy has done nothing: the same is asked again.
            loop {
                let reply = call.clone().send().await;
                if reply.status != 503 {
                    return reply;
                }
            }
        }
    });
    let replies = join_all(calls).await;
    let held: Vec<_> = replies.iter().filter(|reply| reply.status == 201).collect();
    let refused = replies.iter().filter(|reply| reply.status == 409);
    assert!(refused.clone().all(|reply| reply.code() == "too_many_holds"));
    assert_eq!((held.len(), refused.count()), (10, 6));

    // Another may; and so may they, for each that they confirm, give back or let go.
    let again = |day: u32| app.hold(member(2), &shop, service, &format!("2030-02-{day:02}T09:00"));
    app.hold(member(3), &shop, service, "2030-02-01T10:00").send().await.expect(201);
    app.act(member(2), id(held[0], "booking_id"), "confirm").send().await.expect(200);
    again(1).send().await.expect(201);
    app.act(member(2), id(held[1], "booking_id"), "cancel").send().await.expect(200);
    again(2).send().await.expect(201);
    app.overdue(id(held[2], "booking_id")).await;
    again(3).send().await.expect(201);
    assert_eq!(again(4).send().await.expect(409).code(), "too_many_holds");
}
