//! Creating merchants and adding staff.

use booking::domain::Owner;
use kit::caller::Role;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::app::{App, id, member};

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn only_a_merchant_administrator_opens_a_calendar(db: PgPool) {
    let app = App::new(db);
    let body = json!({ "name": " Shears ", "time_zone": "Europe/Berlin" });
    let open =
        |token: &str| app.api.post("/v1/merchants").key("k").bearer(token).json(&body).send();

    for roles in [&[Role::Member][..], &[Role::Staff], &[Role::Operator], &[]] {
        let refused = open(&app.issuer.with_roles(member(1), roles)).await.expect(403);
        assert_eq!(refused.code(), "forbidden");
    }
    let opened = open(&app.issuer.with_roles(member(1), &[Role::MerchantAdmin])).await.expect(201);
    let merchant = id(&opened, "merchant_id");
    let expected = json!({
        "merchant_id": merchant,
        "name": "Shears",
        "time_zone": "Europe/Berlin",
        "currency": "JPY",
        "cancellation_notice_minutes": 0,
    });
    assert_eq!(opened.json(), expected);
    assert_eq!(app.count("merchant").await, 1);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn only_the_owner_adds_staff_and_to_others_the_merchant_is_missing(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    let add = |who, merchant: Uuid| {
        app.post(who, &format!("/v1/merchants/{merchant}/staff"), json!({ "name": "Bo" }))
            .header("x-request-id", "the-same")
            .send()
    };

    let foreign = add(member(7), shop.merchant).await.expect(404);
    let missing = add(member(7), Uuid::from_u128(404)).await.expect(404);
    assert_eq!((&foreign.body, &foreign.headers), (&missing.body, &missing.headers));
    assert_eq!(app.count("staff").await, 1);
    add(shop.owner, shop.merchant).await.expect(201);
    assert_eq!(app.count("staff").await, 2);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn the_demos_salon_is_opened_once_and_can_be_booked(db: PgPool) {
    let app = App::new(db);
    let salon = app.bookings.seed(Owner::new(member(1))).await.unwrap();
    assert_eq!(app.bookings.seed(Owner::new(member(1))).await.unwrap(), salon);
    assert_eq!((app.count("merchant").await, app.count("staff").await), (1, 3));
    assert_eq!((app.count("service").await, app.count("staff_service").await), (3, 9));

    let services = format!("/v1/merchants/{salon}/services");
    let services = app.get(member(2), &services).send().await.expect(200).json();
    let service = services["items"][0]["service_id"].as_str().unwrap().to_owned();
    let path =
        format!("/v1/merchants/{salon}/slots?service_id={service}&from=2030-01-02&to=2030-01-03");
    let slots = app.get(member(2), &path).send().await.expect(200).json();
    assert_eq!(slots["items"][0]["staff_ids"].as_array().unwrap().len(), 3);
    assert_eq!(slots["items"][0]["starts_at"], "2030-01-02T10:00:00+09:00");
}
