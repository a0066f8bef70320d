//! Searching for free times from outside.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::app::{App, Shop, id, member};

fn path(shop: &Shop, query: &str) -> String {
    format!("/v1/merchants/{}/slots?{query}", shop.merchant)
}

/// The starts that a search finds.
async fn starts(app: &App, shop: &Shop, query: &str) -> Vec<String> {
    let found = app.get(member(5), &path(shop, query)).send().await.expect(200).json();
    let items = found["items"].as_array().unwrap();
    items.iter().map(|slot| slot["starts_at"].as_str().unwrap().to_owned()).collect()
}

/// It is 17:00 in Tokyo on January 1.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_is_free_is_what_no_break_closure_or_booking_takes(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    let service = app.service(&shop, 90, 15).await;
    let day = format!("service_id={service}&from=2030-01-02&to=2030-01-03");
    assert_eq!(starts(&app, &shop, &day).await, [""; 0], "nobody gives it yet");
    app.working(&shop, service).await;

    // 09:00 to 12:00 and 13:00 to 17:00, 90 minutes each.
    let of_the_day = starts(&app, &shop, &day).await;
    let (first, last) = ("2030-01-02T09:00:00+09:00", "2030-01-02T15:30:00+09:00");
    assert_eq!((of_the_day.len(), &*of_the_day[0], &*of_the_day[17]), (18, first, last));
    let today = format!("service_id={service}&from=2030-01-01&to=2030-01-02");
    assert_eq!(starts(&app, &shop, &today).await, [""; 0], "the day is over");

    // 14:00 to 14:30 is booked: what is before ends, with its buffer, at 14:00.
    let booking = json!({
        "merchant_id": shop.merchant, "staff_id": shop.staff,
        "starts_at": "2030-01-02T05:00:00Z", "ends_at": "2030-01-02T05:30:00Z",
    });
    let booking = app.post(shop.owner, "/v1/bookings", booking).send().await.expect(201);
    let afternoon = |starts: Vec<String>| -> Vec<String> {
        let times = starts.iter().map(|start| start[11..16].to_owned());
        times.filter(|time| time.as_str() >= "12:00").collect()
    };
    let left = afternoon(starts(&app, &shop, &day).await);
    assert_eq!(left, ["14:30", "14:45", "15:00", "15:15", "15:30"]);

    // Time off until 15:00 leaves less, and the cancelled booking gives nothing back inside it.
    let closures = format!("/v1/merchants/{}/closures", shop.merchant);
    let off = json!({ "staff_id": shop.staff, "starts_at": "2030-01-02T09:00",
                      "ends_at": "2030-01-02T15:00" });
    app.post(shop.owner, &closures, off).send().await.expect(201);
    app.act(shop.owner, id(&booking, "booking_id"), "cancel").send().await.expect(200);
    let left: Vec<_> = starts(&app, &shop, &day).await;
    assert_eq!(afternoon(left.clone()), ["15:00", "15:15", "15:30"]);
    assert_eq!(left.len(), 3);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn anybody_who_gives_the_service_is_searched_or_the_one_asked_for(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    let service = app.service(&shop, 240, 0).await;
    app.working(&shop, service).await;
    let bo = Shop { staff: app.staff(shop.owner, shop.merchant).await, ..shop };
    app.working(&bo, service).await;
    let taken = json!({
        "merchant_id": shop.merchant, "staff_id": bo.staff,
        "starts_at": "2030-01-02T04:00:00Z", "ends_at": "2030-01-02T05:00:00Z",
    });
    app.post(shop.owner, "/v1/bookings", taken).send().await.expect(201);

    let days = format!("service_id={service}&from=2030-01-02&to=2030-01-04");
    let found = app.get(member(5), &path(&shop, &days)).send().await.expect(200).json();
    assert_eq!((&found["time_zone"], &found["price_minor"]), (&json!("Asia/Tokyo"), &json!(5000)));
    let slot = |day: u8, staff: &[Uuid]| {
        json!({ "starts_at": format!("2030-01-0{day}T13:00:00+09:00"),
                "ends_at": format!("2030-01-0{day}T17:00:00+09:00"), "staff_ids": staff })
    };
    let mut both = [shop.staff, bo.staff];
    both.sort_unstable();
    assert_eq!(found["items"], json!([slot(2, &[shop.staff]), slot(3, &both)]));

    let hers = starts(&app, &shop, &format!("{days}&staff_id={}", bo.staff)).await;
    assert_eq!(hers, ["2030-01-03T13:00:00+09:00"]);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_search_that_makes_no_sense_is_refused_by_name(db: PgPool) {
    let app = App::new(db);
    let (shop, other) = (app.shop().await, app.shop_of(member(8)).await);
    let service = app.service(&shop, 30, 0).await;
    app.working(&shop, service).await;
    let idle = app.staff(shop.owner, shop.merchant).await;
    let foreign = app.service(&other, 30, 0).await;
    let days = "from=2030-01-02&to=2030-01-03";

    for (status, code, query) in [
        (422, "invalid_period", format!("service_id={service}&from=2030-01-02&to=2031-02-06")),
        (422, "invalid_period", format!("service_id={service}&from=2030-01-02&to=2030-02-03")),
        (422, "invalid_period", format!("service_id={service}&from=2030-01-02&to=2030-01-02")),
        (422, "invalid_period", format!("service_id={service}&from=2030-01-03&to=2030-01-02")),
        (422, "invalid_period", format!("service_id={service}&from=-262000-01-03&to=2030-01-02")),
        (422, "invalid_value", format!("service_id={service}&from=2030-02-30&to=2030-03-02")),
        (422, "missing_field", days.to_owned()),
        (422, "unknown_field", format!("service_id={service}&{days}&zone=UTC")),
        (422, "staff_not_qualified", format!("service_id={service}&{days}&staff_id={idle}")),
        (404, "not_found", format!("service_id={service}&{days}&staff_id={}", other.staff)),
        (404, "not_found", format!("service_id={foreign}&{days}")),
        (404, "not_found", format!("service_id={}&{days}", Uuid::from_u128(404))),
    ] {
        let refused = app.get(member(5), &path(&shop, &query)).send().await;
        let seen = (refused.status.as_u16(), refused.code());
        assert_eq!(seen, (status, code.to_owned()), "{query} {}", refused.text());
    }
    app.api.get(&path(&shop, &format!("service_id={service}&{days}"))).send().await.expect(401);
}

/// A day on which the clock goes back has the hour twice, and both can be booked.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn an_hour_that_occurs_twice_is_offered_twice_and_one_that_is_skipped_never(db: PgPool) {
    let app = App::new(db);
    let body = json!({ "name": "Nachtschicht", "time_zone": "Europe/Berlin" });
    let merchant = app.post(member(1), "/v1/merchants", body).send().await.expect(201);
    let merchant = id(&merchant, "merchant_id");
    let shop = Shop { owner: member(1), merchant, staff: app.staff(member(1), merchant).await };
    let service = app.service(&shop, 60, 0).await;
    app.working(&shop, service).await;
    let hours: Vec<Value> =
        (6..=7).map(|day| json!({ "weekday": day, "opens": "02:00", "closes": "04:00" })).collect();
    let path = format!("/v1/merchants/{merchant}/staff/{}/hours", shop.staff);
    app.put(shop.owner, &path, json!({ "hours": hours })).send().await.expect(200);

    let on = |day: &str, next: &str| format!("service_id={service}&from={day}&to={next}");
    let back = starts(&app, &shop, &on("2030-10-27", "2030-10-28")).await;
    let expected: Vec<_> = [
        "02:00:00+02",
        "02:15:00+02",
        "02:30:00+02",
        "02:45:00+02",
        "02:00:00+01",
        "02:15:00+01",
        "02:30:00+01",
        "02:45:00+01",
        "03:00:00+01",
    ]
    .iter()
    .map(|time| format!("2030-10-27T{time}:00"))
    .collect();
    assert_eq!(back, expected);
    let forth = starts(&app, &shop, &on("2030-03-31", "2030-04-01")).await;
    assert_eq!(forth, ["2030-03-31T03:00:00+02:00"]);
    let before = starts(&app, &shop, &on("2030-03-30", "2030-03-31")).await;
    assert_eq!(before.len(), 5);
}

/// The constraint's tree is ordered by nothing that a search asks for: it is a hundred times the pages.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_search_never_reads_the_index_that_keeps_bookings_apart(db: PgPool) {
    let app = App::new(db.clone());
    let shop = app.shop().await;
    let service = app.service(&shop, 60, 0).await;
    app.working(&shop, service).await;
    // The planner's choice depends on the number of rows.
    let mut owner = db.acquire().await.unwrap();
    for sql in [
        "INSERT INTO merchant (merchant_id, owner_id, name, time_zone, created_at)
         SELECT gen_random_uuid(), owner_id, name, time_zone, created_at
         FROM merchant, generate_series(1, 20)",
        "INSERT INTO staff (merchant_id, staff_id, name, created_at)
         SELECT merchant_id, gen_random_uuid(), 'Bo', now() FROM merchant, generate_series(1, 20)",
        "INSERT INTO booking (booking_id, merchant_id, staff_id, member_id, during, status,
                              price_minor, created_at, updated_at)
         SELECT gen_random_uuid(), merchant_id, staff_id, gen_random_uuid(),
                tstzrange(at, at + interval '1 hour', '[)'), 'confirmed', 0, now(), now()
         FROM staff, generate_series('2030-01-02'::timestamptz, '2030-01-02 04:00', '1 hour') AS at",
        "ANALYZE booking",
        "SELECT pg_stat_force_next_flush()",
    ] {
        sqlx::query(sql).execute(&mut *owner).await.unwrap();
    }
    let before = scans(&mut owner, "no_overlap_bookings").await;
    let day = format!("service_id={service}&from=2030-01-04&to=2030-01-05");
    let deadline = Instant::now() + Duration::from_secs(10);
    while scans(&mut owner, "booking_calendar").await
        + scans(&mut owner, "no_overlap_bookings").await
        < before + 10
    {
        assert!(Instant::now() < deadline, "nobody counts");
        starts(&app, &shop, &day).await;
    }
    assert_eq!(scans(&mut owner, "no_overlap_bookings").await, before);
}

async fn scans(owner: &mut PgConnection, index: &str) -> i64 {
    sqlx::query_scalar("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = $1")
        .bind(index)
        .fetch_one(owner)
        .await
        .unwrap()
}
