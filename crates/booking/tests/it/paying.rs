//! Paying with points: held in points, confirmed here, captured there; or released.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::app::{id, member};
use crate::saga_world::{Cut, PRICE, World, code};

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_booking_is_confirmed_and_paid_once_however_often_it_is_asked(db: PgPool) {
    let world = World::new(db).await;
    world.rich(member(2), 1000).await;
    let booking = world.held(member(2), 0).await;

    let pay = world.pay(member(2), booking, 300);
    let paid = pay.clone().send().await.expect(200);
    assert_eq!(
        (&paid.json()["status"], &paid.json()["points_paid"], &paid.json()["price_minor"]),
        (&json!("confirmed"), &json!(300), &json!(PRICE))
    );
    let again = pay.send().await.expect(200);
    assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &paid.body));
    assert_eq!(world.pay(member(2), booking, 300).send().await.expect(200).body, paid.body);
    world.app.act(member(2), booking, "confirm").send().await.expect(200);
    let other = world.pay(member(2), booking, 200).send().await;
    assert_eq!(code(&other), (409, "invalid_transition".to_owned()));

    assert_eq!((world.balance(member(2)).await, world.holds().await), (700, [0, 1, 0]));
    let saga = world.saga(booking).await;
    assert_eq!(
        (&saga["state"], &saga["points"], &saga["failure"]),
        (&json!("captured"), &json!(300), &Value::Null)
    );
    let steps: Vec<_> = saga["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| {
            (
                s["step"].as_str().unwrap(),
                s["outcome"].as_str().unwrap(),
                s["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(steps, [("hold", "done", "capturing"), ("capture", "done", "captured")]);

    // The part paid with points earns none.
    world.app.act(world.shop.owner, booking, "complete").send().await.expect(200);
    let event = "SELECT payload FROM outbox_event WHERE kind = 'booking.completed'";
    let event: Value = sqlx::query_scalar(event).fetch_one(&world.app.db).await.unwrap();
    assert_eq!((&event["price_minor"], &event["points_value_minor"]), (&json!(PRICE), &json!(300)));
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn too_few_points_free_the_slot_and_cost_nothing(db: PgPool) {
    let world = World::new(db).await;
    world.rich(member(2), 100).await;
    // Member 3 has no account at all.
    for (n, who) in [(0, member(2)), (1, member(3))] {
        let booking = world.held(who, n).await;
        let pay = world.pay(who, booking, 101);
        let refused = pay.clone().send().await;
        assert_eq!(code(&refused), (409, "insufficient_points".to_owned()));
        world.held(member(4), n).await; // the slot is free at once
        assert_eq!(code(&pay.send().await), (409, "insufficient_points".to_owned()));
        assert_eq!(world.app.status(&world.shop, booking).await, "cancelled");
        world.settle().await;
        let saga = world.saga(booking).await;
        assert_eq!(
            (&saga["state"], &saga["failure"]),
            (&json!("released"), &json!("insufficient_points"))
        );
    }
    assert_eq!((world.balance(member(2)).await, world.holds().await), (100, [0, 0, 2]));
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_busy_database_did_nothing_unless_a_payment_was_begun_before(db: PgPool) {
    let world = World::new(db).await;
    world.rich(member(2), 1000).await;
    let (plain, paid) = (world.held(member(2), 0).await, world.held(member(2), 1).await);
    // The last statement of every command, and of a payment only after its saga has run.
    let busy = "CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql
                    AS $$ BEGIN RAISE lock_not_available; END $$;
                CREATE TRIGGER busy BEFORE INSERT ON idempotency_key EXECUTE FUNCTION busy()";
    sqlx::raw_sql(busy).execute(&world.app.db).await.unwrap();
    let refused = world.app.act(member(2), plain, "confirm").send().await.expect(503);
    assert_eq!(
        (refused.code(), &refused.json()["outcome"]),
        ("database_busy".into(), &json!("none"))
    );
    assert_eq!(world.app.status(&world.shop, plain).await, "held");
    let pay = world.pay(member(2), paid, 300);
    let unsure = pay.clone().send().await.expect(503);
    assert_eq!(
        (unsure.code(), &unsure.json()["outcome"]),
        ("database_busy".into(), &json!("unknown"))
    );
    assert_eq!(world.balance(member(2)).await, 700, "it was paid");

    sqlx::raw_sql("DROP TRIGGER busy ON idempotency_key").execute(&world.app.db).await.unwrap();
    assert_eq!(pay.send().await.expect(200).json()["status"], "confirmed");
    assert_eq!(world.balance(member(2)).await, 700);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn while_points_is_away_it_is_on_its_way_and_then_it_arrives(db: PgPool) {
    let world = World::new(db).await;
    world.rich(member(2), 1000).await;
    let booking = world.held(member(2), 0).await;
    world.wire.cut(Cut::Before);

    let pay = world.pay(member(2), booking, 1000);
    for _ in 0..2 {
        let pending = pay.clone().send().await.expect(202).json();
        assert_eq!((&pending["status"], &pending["booking_id"]), (&json!("held"), &json!(booking)));
        assert!(pending.get("saga_id").is_none(), "it names the hold in points");
    }
    for other in [json!({}), json!({ "points": 999 })] {
        let path = format!("/v1/bookings/{booking}/confirm");
        let refused = world.app.post(member(2), &path, other).send().await;
        assert_eq!(code(&refused), (409, "confirmation_in_progress".to_owned()));
    }

    world.wire.cut(Cut::No);
    world.settle().await;
    assert_eq!(pay.send().await.expect(200).json()["status"], "confirmed");
    assert_eq!((world.balance(member(2)).await, world.holds().await), (0, [0, 1, 0]));
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn without_auth_a_payment_does_not_begin_and_its_grant_is_gone_once_points_holds(db: PgPool) {
    let world = World::new(db).await;
    world.rich(member(2), 1000).await;
    let booking = world.held(member(2), 0).await;
    let pay = world.pay(member(2), booking, 1000);
    world.signs.away.store(true, Ordering::Relaxed);
    let refused = pay.clone().send().await.expect(503);
    assert_eq!(
        (refused.code(), &refused.json()["outcome"]),
        ("auth_unavailable".into(), &json!("none"))
    );
    assert_eq!((world.app.count("saga").await, world.holds().await), (0, [0, 0, 0]));
    assert_eq!(world.app.status(&world.shop, booking).await, "held");

    world.signs.away.store(false, Ordering::Relaxed);
    world.wire.cut(Cut::Before);
    pay.clone().send().await.expect(202);
    let grant = async || -> Option<String> {
        let select = sqlx::query_scalar("SELECT grant_token FROM saga");
        select.fetch_one(&world.app.db).await.unwrap()
    };
    let kept = grant().await.unwrap();
    let seen = world.saga(booking).await.to_string();
    assert!(!seen.contains(&kept), "operators do not see it");
    world.wire.cut(Cut::No);
    world.settle().await;
    assert_eq!(grant().await, None);
    assert_eq!(pay.send().await.expect(200).json()["points_paid"], 1000);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_is_cancelled_gives_its_points_back_wherever_the_payment_was(db: PgPool) {
    let world = World::new(db).await;
    world.rich(member(2), 1000).await;
    let cancel = |booking| world.app.act(member(2), booking, "cancel").send();

    // Captured.
    let booking = world.held(member(2), 0).await;
    world.pay(member(2), booking, 300).send().await.expect(200);
    cancel(booking).await.expect(200);
    world.settle().await;
    assert_eq!(world.saga(booking).await["state"], "reversed");

    // Confirmed, and the answer to the capture lost.
    let booking = world.held(member(2), 1).await;
    world.wire.cut(Cut::After(booking::domain::Step::Capture));
    world.pay(member(2), booking, 300).send().await.expect(200);
    cancel(booking).await.expect(200);
    world.wire.cut(Cut::No);
    world.settle().await;
    assert_eq!(world.saga(booking).await["state"], "reversed");

    // Held in points, and the answer to that lost.
    let booking = world.held(member(2), 2).await;
    world.wire.cut(Cut::After(booking::domain::Step::Hold));
    let pay = world.pay(member(2), booking, 300);
    pay.clone().send().await.expect(202);
    cancel(booking).await.expect(200);
    world.wire.cut(Cut::No);
    world.settle().await;
    assert_eq!(code(&pay.send().await), (409, "invalid_transition".to_owned()));
    assert_eq!(world.saga(booking).await["state"], "released");

    assert_eq!((world.balance(member(2)).await, world.holds().await), (1000, [0, 2, 1]));
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_hold_that_ended_meanwhile_is_not_paid(db: PgPool) {
    let world = World::new(db).await;
    world.rich(member(2), 1000).await;
    let booking = world.held(member(2), 0).await;
    world.wire.cut(Cut::Before);
    let pay = world.pay(member(2), booking, 300);
    pay.clone().send().await.expect(202);
    world.app.overdue(booking).await;
    world.wire.cut(Cut::No);
    world.settle().await;

    assert_eq!(code(&pay.send().await), (409, "hold_expired".to_owned()));
    assert_eq!(world.app.status(&world.shop, booking).await, "expired");
    assert_eq!((world.balance(member(2)).await, world.holds().await), (1000, [0, 0, 1]));
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn points_are_spent_by_their_member_and_never_more_than_the_price(db: PgPool) {
    let world = World::new(db).await;
    world.rich(member(2), 10_000).await;
    world.rich(world.shop.owner, 10_000).await;
    let booking = world.held(member(2), 0).await;

    for (status, why, who, points) in [
        (422, "invalid_points", member(2), json!(0)),
        (422, "invalid_points", member(2), json!(-1)),
        (422, "invalid_points", member(2), json!(PRICE + 1)),
        (422, "invalid_points", member(2), json!(i64::MAX)),
        (422, "invalid_type", member(2), json!("5")),
        (422, "invalid_type", member(2), json!(0.5)),
        (403, "forbidden", world.shop.owner, json!(5)),
        (404, "not_found", member(3), json!(5)),
    ] {
        let refused = world.pay(who, booking, points.clone()).send().await;
        assert_eq!(code(&refused), (status, why.to_owned()), "{points}");
    }
    assert_eq!((world.app.count("saga").await, world.holds().await), (0, [0, 0, 0]));

    // All of it is allowed; what is confirmed already is not paid afterwards.
    world.pay(member(2), booking, PRICE).send().await.expect(200);
    let other = world.held(member(2), 1).await;
    world.app.act(member(2), other, "confirm").send().await.expect(200);
    let late = world.pay(member(2), other, 5).send().await;
    assert_eq!(code(&late), (409, "invalid_transition".to_owned()));
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn operators_read_how_it_went_and_nobody_else(db: PgPool) {
    let world = World::new(db).await;
    world.rich(member(2), 1000).await;
    let booking = world.held(member(2), 0).await;
    world.wire.cut(Cut::Before);
    world.pay(member(2), booking, 300).send().await.expect(202);
    let saga = world.saga(booking).await;
    let path = format!("/v1/sagas/{}", saga["saga_id"].as_str().unwrap());
    for path in [path.as_str(), "/v1/sagas"] {
        world.app.get(member(2), path).send().await.expect(403);
        world.app.api.get(path).send().await.expect(401);
    }
    world.operator("/v1/sagas/019b76da-a800-7000-8000-000000000000").send().await.expect(404);
    assert_eq!((&saga["state"], &saga["last_error"]), (&json!("holding"), &json!("Unavailable")));
    assert!(saga["attempts"].as_i64().unwrap() >= 1 && saga["needs_attention_at"].is_null());

    let listed = async |query: &str| {
        let page = world.operator(&format!("/v1/sagas?{query}")).send().await.expect(200).json();
        page["items"].as_array().unwrap().len()
    };
    assert_eq!((listed("open=true").await, listed("needs_attention=true").await), (1, 0));
    // After five minutes a person should look. The retries continue.
    world.due(", open_since = now() - interval '5 minutes 1 second'").await;
    world.app.bookings.drive_due().await.unwrap();
    assert_eq!((listed("needs_attention=true").await, listed("state=holding").await), (1, 1));
    world.wire.cut(Cut::No);
    world.settle().await;
    assert_eq!((listed("open=true").await, listed("needs_attention=true").await), (0, 0));
    assert_eq!(world.app.status(&world.shop, booking).await, "confirmed");
}

/// The price is the service's, and so are the length and who gives it.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_service_that_is_booked_costs_what_the_merchant_says(db: PgPool) {
    let world = World::new(db).await;
    let (shop, app) = (world.shop, &world.app);
    let body = |start: &str, end: &str| {
        json!({ "merchant_id": shop.merchant, "staff_id": shop.staff, "service_id": world.service,
                "starts_at": format!("2030-01-02T{start}:00Z"), "ends_at": format!("2030-01-02T{end}:00Z") })
    };
    let book = |body| app.post(member(2), "/v1/bookings", body).send();
    let booked = book(body("00:00", "01:00")).await.expect(201);
    let shown = booked.json();
    assert_eq!(
        (&shown["price_minor"], &shown["service_id"]),
        (&json!(PRICE), &json!(world.service))
    );
    assert_eq!(app.status(&shop, id(&booked, "booking_id")).await, "confirmed");
    for (status, why, wrong) in [
        (409, "slot_taken", body("00:00", "01:00")),
        (422, "invalid_interval", body("01:00", "01:30")),
        (422, "off_grid", body("01:05", "02:05")),
        (422, "outside_hours", body("12:00", "13:00")),
    ] {
        assert_eq!(code(&book(wrong).await), (status, why.to_owned()));
    }
}
