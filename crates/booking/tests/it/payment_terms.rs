//! Only our own hold, by the grant of its member, is a payment.

use booking::domain::Step;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::app::member;
use crate::saga_world::{Cut, PRICE, World, code};

impl World {
    /// Another's hold of the member's points, under the id of this booking's payment.
    async fn plant_hold(&self, booking: Uuid, who: Uuid, points: i64, by: Option<&str>) {
        let saga = "SELECT saga_id FROM saga WHERE booking_id = $1";
        let saga: Uuid =
            sqlx::query_scalar(saga).bind(booking).fetch_one(&self.app.db).await.unwrap();
        let plant = "INSERT INTO hold (hold_id, account_id, amount, reference, state, placed_by,
                                       expires_at, created_at)
                     SELECT $1, account_id, $3, '', 'active', $4, now() + interval '1 day', now()
                     FROM account WHERE member_id = $2";
        let planted = sqlx::query(plant).bind(saga).bind(who).bind(points).bind(by);
        assert_eq!(planted.execute(&self.ledger).await.unwrap().rows_affected(), 1);
    }
}

/// It does not matter who has placed it.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_hold_that_is_not_exactly_ours_pays_nothing(db: PgPool) {
    let world = World::new(db).await;
    world.rich(member(2), 3000).await;
    for (n, points, by) in [(0, 1, None), (1, 1000, None), (2, 1000, Some("inspector"))] {
        let booking = world.held(member(2), n).await;
        world.wire.cut(Cut::Before);
        let pay = world.pay(member(2), booking, 1000);
        pay.clone().send().await.expect(202);
        world.plant_hold(booking, member(2), points, by).await;

        world.wire.cut(Cut::No);
        world.settle().await;
        assert_eq!(code(&pay.send().await), (409, "points_refused".to_owned()));
        assert_eq!(world.app.status(&world.shop, booking).await, "cancelled");
        let saga = world.saga(booking).await;
        assert_eq!((&saga["state"], &saga["failure"]), (&json!("released"), &json!("hold_exists")));
    }
    assert_eq!(world.holds().await, [3, 0, 0], "the holds of others are untouched");
}

/// The grant is for one hold: another's token or another number of points is refused.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_grant_that_does_not_fit_ends_the_payment(db: PgPool) {
    let world = World::new(db).await;
    world.rich(member(2), 1000).await;
    let forged = [
        world.issuer.grant(member(2), "booking", Uuid::from_u128(1), 300, world.shop.merchant),
        world.app.issuer.member(member(2)),
        "nothing".to_owned(),
    ];
    for (n, forged) in forged.into_iter().enumerate() {
        let booking = world.held(member(2), n).await;
        world.wire.cut(Cut::Before);
        let pay = world.pay(member(2), booking, 300);
        pay.clone().send().await.expect(202);
        sqlx::query("UPDATE saga SET grant_token = $1 WHERE booking_id = $2")
            .bind(forged)
            .bind(booking)
            .execute(&world.app.db)
            .await
            .unwrap();
        world.wire.cut(Cut::No);
        world.settle().await;
        assert_eq!(code(&pay.send().await), (409, "points_refused".to_owned()));
        assert_eq!(world.saga(booking).await["failure"], "grant_invalid");
        assert_eq!(world.app.status(&world.shop, booking).await, "cancelled");
    }
    assert_eq!((world.balance(member(2)).await, world.holds().await[0]), (1000, 0));
}

/// Its answer was lost, and it is replaced.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_capture_of_the_version_before_is_ours(db: PgPool) {
    let world = World::new(db).await;
    world.rich(member(2), 1000).await;
    let booking = world.held(member(2), 0).await;
    world.wire.cut(Cut::After(Step::Hold));
    let pay = world.pay(member(2), booking, 300);
    pay.clone().send().await.expect(202);
    let saga = "SELECT saga_id FROM saga WHERE booking_id = $1";
    let saga: Uuid = sqlx::query_scalar(saga).bind(booking).fetch_one(&world.app.db).await.unwrap();
    world.captured_by_the_version_before(saga).await;
    world.wire.cut(Cut::No);
    world.settle().await;
    assert_eq!(pay.send().await.expect(200).json()["points_paid"], 300);
    assert_eq!(world.saga(booking).await["state"], "captured");
    assert_eq!(world.balance(member(2)).await, 700);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn points_pay_in_another_currency_what_they_are_worth_there(db: PgPool) {
    let world = World::in_currency(db, "USD").await;
    world.rich(member(2), 100_000).await;
    let booking = world.held(member(2), 0).await;
    let refused = world.pay(member(2), booking, 150).send().await;
    assert_eq!(code(&refused), (422, "tender_value_missing".to_owned()));
    assert_eq!(world.app.status(&world.shop, booking).await, "cancelled");

    // 3 points pay 2 cents.
    world.tender("USD", 3, 2).await;
    let booking = world.held(member(2), 1).await;
    let paid = world.pay(member(2), booking, 151).send().await.expect(200).json();
    assert_eq!(
        (&paid["points_paid"], &paid["points_value_minor"], &paid["price_minor"]),
        (&json!(151), &json!(100), &json!(PRICE))
    );
    // More points than the price has cents are allowed; more than it is worth, or worth nothing, are not.
    let booking = world.held(member(2), 2).await;
    let paid = world.pay(member(2), booking, 7500).send().await.expect(200).json();
    assert_eq!(paid["points_value_minor"], PRICE);
    for (n, points, why) in [(3, 7502, "exceeds_price"), (4, 1, "points_refused")] {
        let booking = world.held(member(2), n).await;
        let refused = world.pay(member(2), booking, points).send().await;
        assert_eq!(refused.code(), why, "{}", refused.text());
        assert_eq!(world.app.status(&world.shop, booking).await, "cancelled");
    }
    world.settle().await;
    assert_eq!(world.balance(member(2)).await, 100_000 - 151 - 7500);
}
