//! Services, staff, working hours and closures.

use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::app::{App, Shop, id, member};

fn of_merchant(shop: &Shop, rest: &str) -> String {
    format!("/v1/merchants/{}{rest}", shop.merchant)
}

fn of_staff(shop: &Shop, rest: &str) -> String {
    format!("/v1/merchants/{}/staff/{}{rest}", shop.merchant, shop.staff)
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn services_are_listed_for_everyone_page_by_page(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    let mut added = Vec::new();
    for minutes in [30, 60, 90] {
        added.push(app.service(&shop, minutes, 10).await);
    }
    added.sort_unstable();

    let mut listed = Vec::new();
    let mut path = of_merchant(&shop, "/services?limit=2");
    loop {
        let page = app.get(member(7), &path).send().await.expect(200).json();
        for item in page["items"].as_array().unwrap() {
            assert_eq!((&item["buffer_minutes"], &item["name"]), (&json!(10), &json!("Cut")));
            listed.push(item["service_id"].as_str().unwrap().parse::<Uuid>().unwrap());
        }
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = of_merchant(&shop, &format!("/services?limit=2&cursor={cursor}"));
    }
    assert_eq!(listed, added);

    let staff = app.get(member(7), &of_merchant(&shop, "/staff")).send().await.expect(200).json();
    assert_eq!(staff["items"][0]["staff_id"], json!(shop.staff));
    assert_eq!(staff["items"][0]["service_ids"], json!([]));
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_staff_do_and_when_is_replaced_as_a_whole(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    let (cut, wash) = (app.service(&shop, 30, 0).await, app.service(&shop, 60, 0).await);

    for wanted in [vec![cut, wash, cut], vec![wash], vec![]] {
        let body = json!({ "service_ids": wanted });
        app.put(shop.owner, &of_staff(&shop, "/services"), body).send().await.expect(200);
        let staff = app.get(member(7), &of_merchant(&shop, "/staff")).send().await.json();
        let mut wanted = wanted;
        wanted.sort_unstable();
        wanted.dedup();
        assert_eq!(staff["items"][0]["service_ids"], json!(wanted));
    }

    let path = of_staff(&shop, "/hours");
    assert_eq!(app.get(member(7), &path).send().await.json(), json!({ "hours": [] }));
    let with_a_break = json!({ "hours": [
        { "weekday": 1, "opens": "09:00", "closes": "12:00" },
        { "weekday": 1, "opens": "13:00", "closes": "18:30" },
        { "weekday": 5, "opens": "22:00", "closes": "24:00" },
        { "weekday": 6, "opens": "00:00", "closes": "02:00" },
    ]});
    let shorter = json!({ "hours": [{ "weekday": 2, "opens": "10:00", "closes": "11:00" }] });
    for week in [&with_a_break, &shorter, &with_a_break] {
        let set = app.put(shop.owner, &path, week.clone()).send().await.expect(200);
        assert_eq!(&set.json(), week);
        assert_eq!(&app.get(member(7), &path).send().await.expect(200).json(), week);
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_calendar_that_makes_no_sense_is_refused_by_name(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    let service = |minutes: Value, buffer: Value, price: Value| {
        json!({ "name": "Cut", "duration_minutes": minutes, "buffer_minutes": buffer,
                "price_minor": price })
    };
    for (code, body) in [
        ("invalid_duration", service(json!(4), json!(0), json!(1))),
        ("invalid_duration", service(json!(700), json!(21), json!(1))),
        ("invalid_duration", service(json!(30), json!(-1), json!(1))),
        ("invalid_amount", service(json!(30), json!(0), json!(-1))),
        ("invalid_type", service(json!("30"), json!(0), json!(1))),
        ("unknown_field", json!({ "name": "Cut", "staff": [] })),
    ] {
        let path = of_merchant(&shop, "/services");
        let refused = app.post(shop.owner, &path, body).send().await.expect(422);
        assert_eq!(refused.code(), code);
    }

    let shift = |day: i64, opens: &str, closes: &str| json!({ "weekday": day, "opens": opens, "closes": closes });
    for (code, hours) in [
        ("invalid_hours", json!([shift(0, "09:00", "10:00")])),
        ("invalid_hours", json!([shift(8, "09:00", "10:00")])),
        ("invalid_hours", json!([shift(1, "10:00", "09:00")])),
        ("invalid_hours", json!([shift(1, "09:00", "12:00"), shift(1, "11:00", "13:00")])),
        ("invalid_value", json!([shift(1, "09:00", "25:00")])),
        ("invalid_type", json!("always")),
    ] {
        let path = of_staff(&shop, "/hours");
        let body = json!({ "hours": hours });
        let refused = app.put(shop.owner, &path, body).send().await.expect(422);
        assert_eq!(refused.code(), code, "{hours}");
    }

    for (code, starts_at, ends_at) in [
        ("invalid_period", "2030-02-01T10:00", "2030-02-01T10:00"),
        ("invalid_period", "2030-02-02T10:00", "2030-02-01T10:00"),
        ("invalid_period", "2030-02-01T10:00", "2032-02-01T10:00"),
        ("invalid_value", "tomorrow", "2030-02-01T10:00"),
        ("invalid_value", "+99999-02-01T10:00", "2030-02-01T10:00"),
    ] {
        let path = of_merchant(&shop, "/closures");
        let body = json!({ "starts_at": starts_at, "ends_at": ends_at });
        let refused = app.post(shop.owner, &path, body).send().await.expect(422);
        assert_eq!(refused.code(), code, "{starts_at}");
    }
    for table in ["service", "working_hours", "closure"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
}

/// Tokyo's clock never changes; Berlin's skips an hour in March and repeats one in October.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_local_time_that_is_skipped_or_doubled_is_refused(db: PgPool) {
    let app = App::new(db);
    let body = json!({ "name": "Schere", "time_zone": "Europe/Berlin" });
    let berlin = app.post(member(1), "/v1/merchants", body).send().await.expect(201);
    let path = format!("/v1/merchants/{}/closures", id(&berlin, "merchant_id"));
    let close = |starts_at: &str| {
        let body = json!({ "starts_at": starts_at, "ends_at": "2030-11-01T00:00" });
        app.post(member(1), &path, body).send()
    };

    for (code, starts_at) in [
        ("nonexistent_local_time", "2030-03-31T02:30"),
        ("ambiguous_local_time", "2030-10-27T02:30"),
    ] {
        let refused = close(starts_at).await.expect(422);
        assert_eq!(refused.code(), code);
        assert_eq!(refused.fields(), [("starts_at".to_owned(), code.to_owned())]);
    }
    for (starts_at, utc) in [
        ("2030-10-27T02:30:00+02:00", "2030-10-27T00:30:00Z"),
        ("2030-10-27T02:30:00+01:00", "2030-10-27T01:30:00Z"),
        ("2030-06-01T09:00", "2030-06-01T07:00:00Z"),
    ] {
        assert_eq!(close(starts_at).await.expect(201).json()["starts_at"], utc);
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_closure_is_listed_until_it_is_over_or_taken_back(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    let path = of_merchant(&shop, "/closures");
    for (staff, starts_at, ends_at) in [
        (json!(null), "2029-12-24T00:00", "2029-12-27T00:00"), // over
        (json!(shop.staff), "2030-03-01T09:00", "2030-03-01T12:00"),
        (json!(null), "2029-12-31T00:00", "2030-01-04T00:00"), // now
    ] {
        let body = json!({ "staff_id": staff, "starts_at": starts_at, "ends_at": ends_at });
        app.post(shop.owner, &path, body).send().await.expect(201);
    }

    let list = |query: &str| app.get(shop.owner, &format!("{path}{query}")).send();
    let page = list("?limit=1").await.expect(200).json();
    assert_eq!(page["items"][0]["starts_at"], "2029-12-30T15:00:00Z");
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = list(&format!("?cursor={cursor}")).await.expect(200).json();
    assert_eq!(
        (&page["items"][0]["staff_id"], &page["next_cursor"]),
        (&json!(shop.staff), &json!(null))
    );

    let closure = format!("{path}/{}", page["items"][0]["closure_id"].as_str().unwrap());
    app.delete(member(9), &closure).send().await.expect(404);
    app.delete(shop.owner, &closure).send().await.expect(204);
    app.delete(shop.owner, &closure).send().await.expect(404);
    assert_eq!(list("").await.json()["items"].as_array().unwrap().len(), 1);
}

/// Ownership is in every query: another's merchant, staff and service look like missing ones.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn only_the_owner_changes_a_calendar_and_only_with_what_is_theirs(db: PgPool) {
    let app = App::new(db);
    let (shop, other) = (app.shop().await, app.shop_of(member(8)).await);
    let mine = app.service(&shop, 30, 0).await;
    let theirs = app.service(&other, 30, 0).await;
    let week = json!({ "hours": [{ "weekday": 1, "opens": "09:00", "closes": "12:00" }] });
    let closure = json!({ "starts_at": "2030-03-01T09:00", "ends_at": "2030-03-01T12:00" });
    let service = json!({ "name": "Cut", "duration_minutes": 30, "price_minor": 1 });
    let with_staff = |staff: Uuid| {
        let mut closure = closure.clone();
        closure["staff_id"] = json!(staff);
        closure
    };
    let offer = |service: Uuid| json!({ "service_ids": [service] });

    for call in [
        app.post(other.owner, &of_merchant(&shop, "/services"), service.clone()),
        app.post(other.owner, &of_merchant(&shop, "/closures"), closure.clone()),
        app.get(other.owner, &of_merchant(&shop, "/closures")),
        app.put(other.owner, &of_staff(&shop, "/hours"), week.clone()),
        app.put(other.owner, &of_staff(&shop, "/services"), offer(mine)),
        // The owner, with ids of another merchant or of none.
        app.put(shop.owner, &of_staff(&shop, "/services"), offer(theirs)),
        app.put(
            shop.owner,
            &of_staff(&Shop { staff: other.staff, ..shop }, "/hours"),
            week.clone(),
        ),
        app.get(shop.owner, &of_staff(&Shop { staff: other.staff, ..shop }, "/hours")),
        app.post(shop.owner, &of_merchant(&shop, "/closures"), with_staff(other.staff)),
        app.post(shop.owner, &format!("/v1/merchants/{}/services", Uuid::from_u128(4)), service),
        app.get(shop.owner, &format!("/v1/merchants/{}/services", Uuid::from_u128(4))),
    ] {
        assert_eq!(call.send().await.expect(404).code(), "not_found");
    }
    for table in ["staff_service", "working_hours", "closure"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
    app.put(shop.owner, &of_staff(&shop, "/services"), offer(mine)).send().await.expect(200);
    app.put(shop.owner, &of_staff(&shop, "/hours"), week).send().await.expect(200);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_is_offered_changes_and_what_was_booked_does_not(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    let service = app.service(&shop, 60, 0).await;
    app.working(&shop, service).await;
    let before = app.hold(member(2), &shop, service, "2030-01-02T09:00").send().await.expect(201);

    let path = of_merchant(&shop, &format!("/services/{service}"));
    let body = json!({ "name": "Trim", "duration_minutes": 30, "buffer_minutes": 15, "price_minor": 3000 });
    let edit =
        |who, path: &str, seen: &str| app.put(who, path, body.clone()).header("if-match", seen);
    let edited = edit(shop.owner, &path, "\"1\"").send().await.expect(200);
    assert_eq!(edited.header("etag"), "\"2\"");
    let edited = edited.json();
    assert_eq!((&edited["name"], &edited["price_minor"]), (&json!("Trim"), &json!(3000)));
    let after = app.hold(member(2), &shop, service, "2030-01-02T10:00").send().await.expect(201);
    assert_eq!(after.json()["price_minor"], 3000);
    let id = before.json()["booking_id"].as_str().unwrap().to_owned();
    let kept = app.get(member(2), &format!("/v1/bookings/{id}")).send().await.expect(200).json();
    assert_eq!((&kept["price_minor"], &kept["ends_at"]), (&json!(5000), &before.json()["ends_at"]));

    edit(member(7), &path, "\"2\"").send().await.expect(404);
    let other = app.shop_of(member(8)).await;
    let foreign = of_merchant(&other, &format!("/services/{service}"));
    edit(other.owner, &foreign, "\"2\"").send().await.expect(404);
    let bad = json!({ "name": "", "duration_minutes": 1, "price_minor": -1 });
    app.put(shop.owner, &path, bad).header("if-match", "\"2\"").send().await.expect(422);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn nobody_changes_a_service_that_they_have_not_read(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    let service = app.service(&shop, 60, 0).await;
    let path = of_merchant(&shop, &format!("/services/{service}"));
    let body = |price: i64| json!({ "name": "Cut", "duration_minutes": 60, "price_minor": price });
    let listed = app.get(member(2), &of_merchant(&shop, "/services")).send().await.expect(200);
    assert_eq!(listed.json()["items"][0]["version"], 1);

    let unread = app.put(shop.owner, &path, body(1)).send().await.expect(428);
    assert_eq!(unread.code(), "precondition_required");
    let edit = |price| app.put(shop.owner, &path, body(price)).header("if-match", "\"1\"").send();
    let replies = join_all((1..=8).map(edit)).await;
    let ok = |reply: &&testkit::http::Reply| reply.status == 200;
    assert_eq!(replies.iter().filter(ok).count(), 1, "eight have read the same");
    let late = replies.into_iter().find(|reply| reply.status != 200).unwrap().expect(412);
    assert_eq!(late.code(), "version_conflict");
    for other in ["\"3\"", "W/\"2\"", "2", "*", "\"\""] {
        let tagged = app.put(shop.owner, &path, body(9)).header("if-match", other);
        tagged.send().await.expect(412);
    }
    let metrics = String::from_utf8(observability::metrics::render().1).unwrap();
    assert!(metrics.contains("concurrency_conflict_total{aggregate=\"service\"} 12\n"), "counted");
    let listed = app.get(member(2), &of_merchant(&shop, "/services")).send().await.expect(200);
    assert_eq!(listed.json()["items"][0]["version"], 2);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_forged_cursor_of_closures_is_refused(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    for year in ["-100000", "-4713", "+10000"] {
        let cursor = kit::page::cursor(&(format!("{year}-01-01T00:00:00Z"), Uuid::nil()));
        let path = of_merchant(&shop, &format!("/closures?cursor={cursor}"));
        let refused = app.get(shop.owner, &path).send().await.expect(400);
        assert_eq!(refused.code(), "invalid_cursor", "{year}");
    }
}
