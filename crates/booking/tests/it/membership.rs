//! The owners and staff of merchants, and the events for points.

use std::time::Duration;

use futures::future::join_all;
use kit::caller::Role;
use serde_json::json;
use sqlx::PgPool;
use testkit::http::Call;
use uuid::Uuid;

use crate::app::{App, Shop, member, relay};
use crate::saga_world::World;

const SOON: Duration = Duration::from_secs(20);

/// Returns the events about merchants, in order: `(kind, merchant, member)`.
async fn told(app: &App) -> Vec<(String, Uuid, Uuid)> {
    let events = "SELECT kind, (payload->>'merchant_id')::uuid, (payload->>'member_id')::uuid
                  FROM outbox_event WHERE aggregate = 'merchant:' || (payload->>'merchant_id')
                  ORDER BY position";
    sqlx::query_as(events).fetch_all(&app.db).await.unwrap()
}

fn link(app: &App, shop: &Shop, who: Uuid, is: Uuid) -> Call {
    let path = format!("/v1/merchants/{}/staff/{}/member", shop.merchant, shop.staff);
    app.put(who, &path, json!({ "member_id": is }))
}

fn unlink(app: &App, shop: &Shop, who: Uuid) -> Call {
    app.delete(who, &format!("/v1/merchants/{}/staff/{}/member", shop.merchant, shop.staff))
}

fn event(kind: &str, shop: &Shop, member: Uuid) -> (String, Uuid, Uuid) {
    (kind.to_owned(), shop.merchant, member)
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn each_change_is_told_once_and_in_order_and_no_other_is(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    let registered = event("merchant.registered", &shop, shop.owner);
    assert_eq!(told(&app).await, std::slice::from_ref(&registered));
    let body = json!({ "name": "Shears", "time_zone": "Mars/Olympus" });
    app.post(shop.owner, "/v1/merchants", body).send().await.expect(422);
    unlink(&app, &shop, shop.owner).send().await.expect(204);
    assert_eq!(told(&app).await.len(), 1);

    for _ in 0..2 {
        link(&app, &shop, shop.owner, member(5)).send().await.expect(204);
    }
    link(&app, &shop, shop.owner, member(6)).send().await.expect(204);
    for _ in 0..2 {
        unlink(&app, &shop, shop.owner).send().await.expect(204);
    }
    assert_eq!(
        told(&app).await,
        [
            registered,
            event("staff.linked", &shop, member(5)),
            event("staff.unlinked", &shop, member(5)),
            event("staff.linked", &shop, member(6)),
            event("staff.unlinked", &shop, member(6)),
        ]
    );
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn only_the_owner_says_whom_staff_sign_in_as_and_nobody_is_two_of_them(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    link(&app, &shop, member(7), member(7)).send().await.expect(404);
    unlink(&app, &shop, member(7)).send().await.expect(404);
    let nobody = Shop { staff: Uuid::from_u128(404), ..shop };
    assert_eq!(
        link(&app, &nobody, shop.owner, member(5)).send().await.expect(404).code(),
        "not_found"
    );

    let second = Shop { staff: app.staff(shop.owner, shop.merchant).await, ..shop };
    link(&app, &shop, shop.owner, member(5)).send().await.expect(204);
    let twice = link(&app, &second, shop.owner, member(5)).send().await.expect(409);
    assert_eq!(twice.code(), "staff_member_taken");
    // At another merchant they may be another staff member.
    let other = app.shop_of(member(8)).await;
    link(&app, &other, member(8), member(5)).send().await.expect(204);
    assert_eq!(told(&app).await.len(), 4, "two merchants and two links");
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn whoever_is_linked_at_the_end_is_the_last_who_was_told_of(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    let links = (1..=16).map(|n| link(&app, &shop, shop.owner, member(100 + n)).send());
    for reply in join_all(links).await {
        reply.expect(204);
    }
    let linked: Uuid =
        sqlx::query_scalar("SELECT member_id FROM staff").fetch_one(&app.db).await.unwrap();
    let told = told(&app).await;
    assert_eq!(told.len(), 1 + 16 + 15);
    assert_eq!(told.last(), Some(&event("staff.linked", &shop, linked)));
    // Each who was linked in between was unlinked before the next one came.
    for pair in told[1..].chunks(2).filter(|pair| pair.len() == 2) {
        assert_eq!((pair[0].0.as_str(), pair[1].0.as_str()), ("staff.linked", "staff.unlinked"));
        assert_eq!(pair[0].2, pair[1].2);
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn of_merchants_from_before_it_is_told_once_also_by_two_at_once(db: PgPool) {
    let app = App::new(db);
    let old = app.shop().await;
    let older = app.shop_of(member(2)).await;
    // An older version left them like this.
    sqlx::raw_sql("UPDATE merchant SET told_at = NULL; DELETE FROM outbox_event")
        .execute(&app.db)
        .await
        .unwrap();
    let new = app.shop_of(member(3)).await;

    let (first, second) =
        tokio::join!(app.bookings.announce_merchants(), app.bookings.announce_merchants());
    assert_eq!(first.unwrap() + second.unwrap(), 2);
    assert_eq!(app.bookings.announce_merchants().await.unwrap(), 0);
    let mut told = told(&app).await;
    told.sort();
    let mut expected: Vec<_> =
        [&old, &older, &new].map(|shop| event("merchant.registered", shop, shop.owner)).into();
    expected.sort();
    assert_eq!(told, expected);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn whoever_belongs_to_a_merchant_may_soon_act_for_it_in_points(db: PgPool) {
    let world = World::new(db).await;
    world.rich(member(2), 1).await;
    let account: Uuid = sqlx::query_scalar("SELECT account_id FROM account")
        .fetch_one(&world.ledger)
        .await
        .unwrap();
    let earn = async |who: Uuid, role: Role| {
        let token = world.issuer.with_roles(who, &[role]);
        let body = json!({ "points": 1, "merchant_id": world.shop.merchant });
        let call = world.till.post(&format!("/v1/accounts/{account}/earnings")).bearer(&token);
        call.key(&kit::Clock::system().id().to_string()).json(body).send().await.status.as_u16()
    };
    let until = async |who, role, status| {
        testkit::eventually(SOON, || async { (earn(who, role).await == status).then_some(()) })
            .await;
    };
    let (owner, clerk) = (world.shop.owner, member(5));
    assert_eq!(earn(owner, Role::MerchantAdmin).await, 404, "nobody has told points yet");

    let _relay = relay(&world.app, world.wire.clone());
    until(owner, Role::MerchantAdmin, 201).await;
    assert_eq!(earn(member(9), Role::MerchantAdmin).await, 404, "another merchant");

    assert_eq!(earn(clerk, Role::Staff).await, 404);
    link(&world.app, &world.shop, owner, clerk).send().await.expect(204);
    until(clerk, Role::Staff, 201).await;
    unlink(&world.app, &world.shop, owner).send().await.expect(204);
    until(clerk, Role::Staff, 404).await;
    assert_eq!(earn(owner, Role::MerchantAdmin).await, 201);
}
