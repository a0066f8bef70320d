//! A role, a merchant or a place in one that was taken away is gone.

use kit::caller::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::eventually;
use uuid::Uuid;

use crate::app::{App, Shop, id, member};
use crate::saga_world::{PRICE, World};

const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// Every route of a merchant's owner, with a body that it takes.
fn routes_of_owners(shop: &Shop, service: Uuid) -> Vec<(&'static str, String, Value)> {
    let merchant = format!("/v1/merchants/{}", shop.merchant);
    let staff = format!("{merchant}/staff/{}", shop.staff);
    let cut = json!({ "name": "Cut", "duration_minutes": 60, "price_minor": 1 });
    let closed = json!({ "starts_at": "2030-02-01T09:00", "ends_at": "2030-02-01T10:00" });
    vec![
        ("POST", format!("{merchant}/staff"), json!({ "name": "Bo" })),
        ("POST", format!("{merchant}/services"), cut.clone()),
        ("PUT", format!("{merchant}/services/{service}"), cut),
        ("PUT", format!("{staff}/services"), json!({ "service_ids": [] })),
        ("PUT", format!("{staff}/hours"), json!({ "hours": [] })),
        ("PUT", format!("{staff}/member"), json!({ "member_id": member(5) })),
        ("DELETE", format!("{staff}/member"), Value::Null),
        ("GET", format!("{merchant}/closures"), Value::Null),
        ("POST", format!("{merchant}/closures"), closed),
        ("DELETE", format!("{merchant}/closures/{}", Uuid::nil()), Value::Null),
        ("PUT", format!("{merchant}/line"), json!({ "channel_token": "x" })),
        ("DELETE", format!("{merchant}/line"), Value::Null),
    ]
}

async fn answers(
    app: &App,
    token: &str,
    (method, path, body): &(&str, String, Value),
) -> (u16, String) {
    let call = match *method {
        "GET" => app.api.get(path),
        "PUT" => app.api.put(path).header("if-match", "\"1\"").json(body),
        "DELETE" => app.api.delete(path),
        _ => app.api.post(path).key(&kit::Clock::system().id().to_string()).json(body),
    };
    let reply = call.bearer(token).send().await;
    (reply.status.as_u16(), reply.code())
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn who_owns_a_merchant_and_lost_the_role_is_a_member_like_any_other(db: PgPool) {
    let app = App::new(db).sealing();
    let shop = app.open_shop().await;
    let service = app.service(&shop, 60, 0).await;
    let booking = app.booked(member(2), &shop, 60).await;
    for token in [
        app.plain(shop.owner),
        app.issuer.with_roles(shop.owner, &[Role::Member, Role::Staff]),
        app.issuer.with_roles(shop.owner, &[]),
    ] {
        for route in routes_of_owners(&shop, service) {
            let refused = answers(&app, &token, &route).await;
            assert_eq!(refused, (403, "forbidden".to_owned()), "{route:?}");
        }
        for verb in ["complete", "no-show"] {
            let path = format!("/v1/bookings/{booking}/{verb}");
            let refused = answers(&app, &token, &("POST", path, json!({}))).await;
            assert_eq!(refused, (403, "forbidden".to_owned()), "{verb}");
        }
        let moved = json!({ "starts_at": "2030-01-03T09:00" });
        for (method, verb, body) in [
            ("GET", "", Value::Null),
            ("GET", "/notifications", Value::Null),
            ("POST", "/cancel", json!({})),
            ("POST", "/confirm", json!({})),
            ("POST", "/reschedule", moved),
        ] {
            let path = format!("/v1/bookings/{booking}{verb}");
            let refused = answers(&app, &token, &(method, path, body)).await;
            assert_eq!(refused, (404, "not_found".to_owned()), "{verb}");
        }
        // No time without a service, and no more bookings than anybody.
        let alone = crate::app::time_alone(&shop, 240, 60);
        let refused = answers(&app, &token, &("POST", "/v1/bookings".to_owned(), alone)).await;
        assert_eq!(refused, (422, "service_required".to_owned()));
    }
    assert_eq!(app.status(&shop, booking).await, "confirmed");
    // The role alone is nothing either.
    for route in routes_of_owners(&shop, service) {
        let stranger = answers(&app, &app.token(member(7)), &route).await;
        assert_eq!(stranger.0, 404, "{route:?}");
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_closed_merchant_is_nobodys_and_gives_back_what_members_have_ahead(db: PgPool) {
    let world = World::new(db).await;
    let (app, shop) = (&world.app, world.shop);
    world.rich(member(2), 1000).await;
    let link = format!("/v1/merchants/{}/staff/{}/member", shop.merchant, shop.staff);
    app.put(shop.owner, &link, json!({ "member_id": member(5) })).send().await.expect(204);
    let (paid, held) = (world.held(member(2), 0).await, world.held(member(3), 1).await);
    world.pay(member(2), paid, 700).send().await.expect(200);

    let path = format!("/v1/merchants/{}/closure", shop.merchant);
    app.post(shop.owner, &path, json!({})).send().await.expect(403);
    let closed = app.operate(&path, json!({})).send().await.expect(200).json();
    let again = app.operate(&path, json!({})).send().await.expect(200).json();
    assert_eq!(closed, again);
    let missing = format!("/v1/merchants/{}/closure", Uuid::from_u128(404));
    app.operate(&missing, json!({})).send().await.expect(404);

    // A member's own view: the merchant is gone.
    let status = async |who: Uuid, booking: Uuid| {
        let read = app.get(who, &format!("/v1/bookings/{booking}")).send().await.expect(200);
        read.json()["status"].as_str().unwrap().to_owned()
    };
    eventually(SOON, || async {
        app.bookings.cancel_at_closed_merchants().await.unwrap();
        let seen = [status(member(2), paid).await, status(member(3), held).await];
        seen.iter().all(|seen| seen == "cancelled").then_some(())
    })
    .await;
    world.settle().await;
    assert_eq!((world.balance(member(2)).await, world.holds().await[0]), (1000, 0));
    assert_eq!(world.saga(paid).await["state"], "reversed");

    for route in routes_of_owners(&shop, world.service) {
        let (answer, _) = answers(app, &app.token(shop.owner), &route).await;
        assert!([404, 503].contains(&answer), "{route:?} {answer}");
    }
    for starts_at in ["2030-01-05T09:00", "2030-01-05T10:00"] {
        let refused = app.hold(member(4), &shop, world.service, starts_at).send().await;
        assert_eq!((refused.status.as_u16(), refused.code()), (409, "merchant_closed".into()));
    }
    let told: Vec<(String, Uuid)> = sqlx::query_as(
        "SELECT kind, (payload->>'member_id')::uuid FROM outbox_event
         WHERE kind IN ('staff.unlinked', 'owner.left') ORDER BY position",
    )
    .fetch_all(&app.db)
    .await
    .unwrap();
    let expected =
        [("staff.unlinked".to_owned(), member(5)), ("owner.left".to_owned(), shop.owner)];
    assert_eq!(told, expected);
}

/// A booking that is made while the merchant is being closed.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_hold_at_a_closed_merchant_is_neither_confirmed_nor_paid(db: PgPool) {
    let world = World::new(db).await;
    world.rich(member(2), 1000).await;
    let booking = world.held(member(2), 0).await;
    sqlx::query("UPDATE merchant SET former_owner = owner_id, owner_id = NULL, closed_at = now()")
        .execute(&world.app.db)
        .await
        .unwrap();
    for body in [json!({}), json!({ "points": 5 })] {
        let path = format!("/v1/bookings/{booking}/confirm");
        let refused = world.app.post(member(2), &path, body).send().await;
        assert_eq!((refused.status.as_u16(), refused.code()), (409, "merchant_closed".into()));
    }
    assert_eq!(world.app.bookings.cancel_at_closed_merchants().await.unwrap(), 1);
    assert_eq!(world.app.bookings.cancel_at_closed_merchants().await.unwrap(), 0);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_merchant_that_is_handed_over_keeps_its_bookings_and_obeys_its_new_owner(db: PgPool) {
    let world = World::new(db).await;
    let (app, shop) = (&world.app, world.shop);
    let booking = world.held(member(2), 0).await;
    app.act(member(2), booking, "confirm").send().await.expect(200);
    let link = format!("/v1/merchants/{}/staff/{}/member", shop.merchant, shop.staff);
    app.put(shop.owner, &link, json!({ "member_id": member(5) })).send().await.expect(204);
    let path = format!("/v1/merchants/{}/owner", shop.merchant);
    let body = json!({ "member_id": member(8) });
    app.post(member(8), &path, body.clone()).send().await.expect(403);
    for _ in 0..2 {
        let told = app.operate(&path, body.clone()).send().await.expect(200).json();
        assert_eq!(told["owner_id"], json!(member(8)));
    }
    app.act(shop.owner, booking, "complete").send().await.expect(404);
    app.act(member(8), booking, "complete").send().await.expect(200);
    let told: Vec<(String, Uuid)> = sqlx::query_as(
        "SELECT kind, (payload->>'member_id')::uuid FROM outbox_event
         WHERE aggregate LIKE 'merchant:%' ORDER BY position",
    )
    .fetch_all(&app.db)
    .await
    .unwrap();
    let of = |kind: &str, who| (kind.to_owned(), who);
    assert_eq!(
        told,
        [
            of("merchant.registered", shop.owner),
            of("staff.linked", member(5)),
            of("staff.unlinked", member(5)), // the owner before had chosen them
            of("owner.left", shop.owner),
            of("merchant.registered", member(8)),
        ]
    );

    // An operator who knows the staff keeps them.
    app.put(member(8), &link, json!({ "member_id": member(6) })).send().await.expect(204);
    let kept = json!({ "member_id": member(9), "keeps_staff": true });
    app.operate(&path, kept).send().await.expect(200);
    let linked: Option<Uuid> =
        sqlx::query_scalar("SELECT member_id FROM staff WHERE merchant_id = $1 AND staff_id = $2")
            .bind(shop.merchant)
            .bind(shop.staff)
            .fetch_one(&app.db)
            .await
            .unwrap();
    assert_eq!(linked, Some(member(6)));

    // A closed merchant is open again when somebody has it.
    app.operate(&format!("/v1/merchants/{}/closure", shop.merchant), json!({}))
        .send()
        .await
        .expect(200);
    app.operate(&path, json!({ "member_id": shop.owner })).send().await.expect(200);
    let held = app.hold(member(4), &shop, world.service, "2030-01-05T09:00").send().await;
    let held = held.expect(201);
    assert_eq!(held.json()["price_minor"], PRICE);
    assert_ne!(id(&held, "booking_id"), booking);
}
