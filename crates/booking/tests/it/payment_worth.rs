//! Points pay what they are worth in the price's currency, which points alone knows.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use booking::domain::{Currency, Saga, Step, StepAnswer};
use booking::peers::{
    Earned, Grant, GrantHold, Grants, MembershipChange, NoGrant, Points, Purchase,
};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::eventually;
use tonic::async_trait;
use uuid::Uuid;

use crate::app::{App, Shop, id, member, now, relay};
use crate::saga_world::{PRICE, code};

/// A ledger to which points are worth what it is told, and that remembers what it was asked.
struct Worth {
    of_all: Mutex<Result<i64, &'static str>>,
    asked: Mutex<Vec<(String, i64)>>,
    purchases: Mutex<Vec<i64>>,
}

#[async_trait]
impl Points for Worth {
    async fn earn(&self, purchase: Purchase) -> anyhow::Result<Earned> {
        self.purchases.lock().unwrap().push(purchase.minor);
        Ok(Earned::Points)
    }

    async fn change_membership(&self, _: MembershipChange) -> anyhow::Result<()> {
        Ok(())
    }

    async fn step(&self, saga: &Saga, step: Step, _: Option<&Grant>) -> anyhow::Result<StepAnswer> {
        let (hold_id, points) = (saga.saga_id, saga.points);
        Ok(match step {
            Step::Hold => {
                self.asked.lock().unwrap().push((saga.currency.clone(), saga.price_minor));
                match *self.of_all.lock().unwrap() {
                    Ok(value_minor) => StepAnswer::Held { hold_id, points, value_minor },
                    Err(why) => StepAnswer::Refused(why.parse().unwrap()),
                }
            }
            Step::Capture => StepAnswer::Captured { hold_id, points, transfer_id: Some(hold_id) },
            Step::Release => StepAnswer::Released { hold_id },
            Step::Reverse => StepAnswer::Reversed,
        })
    }
}

struct Anyone;

#[async_trait]
impl Grants for Anyone {
    async fn grant(&self, _: GrantHold<'_>) -> Result<Grant, NoGrant> {
        Ok("a grant".into())
    }
}

struct World {
    app: App,
    shop: Shop,
    service: Uuid,
    worth: Arc<Worth>,
}

impl World {
    async fn new(db: PgPool, currency: &str) -> Self {
        let (asked, purchases) = (Mutex::default(), Mutex::default());
        let worth = Arc::new(Worth { of_all: Mutex::new(Ok(1)), asked, purchases });
        let mut app = App::with(db, now(), worth.clone());
        app.becomes(app.bookings.clone().with_grants(Arc::new(Anyone), Currency::default()));
        let shop = app.shop_in(currency).await;
        let service = app.priced(&shop, 60, 0, PRICE).await;
        app.working(&shop, service).await;
        Self { app, shop, service, worth }
    }

    async fn pays(
        &self,
        hour: u32,
        points: i64,
        worth: Result<i64, &'static str>,
    ) -> (Uuid, testkit::http::Reply) {
        *self.worth.of_all.lock().unwrap() = worth;
        let at = format!("2030-01-02T{hour:02}:00");
        let held = self.app.hold(member(2), &self.shop, self.service, &at).send().await;
        let booking = id(&held.expect(201), "booking_id");
        let path = format!("/v1/bookings/{booking}/confirm");
        (booking, self.app.post(member(2), &path, json!({ "points": points })).send().await)
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_points_paid_of_the_price_is_what_points_says(db: PgPool) {
    let world = World::new(db, "USD").await;
    let (booking, paid) = world.pays(9, 150, Ok(100)).await;
    let paid = paid.expect(200).json();
    assert_eq!(
        (&paid["points_paid"], &paid["points_value_minor"], &paid["price_minor"]),
        (&json!(150), &json!(100), &json!(PRICE))
    );
    assert_eq!(*world.worth.asked.lock().unwrap(), [("USD".to_owned(), PRICE)]);
    // More points than the price has cents.
    let (_, all) = world.pays(10, 7500, Ok(PRICE)).await;
    assert_eq!(all.expect(200).json()["points_value_minor"], PRICE);

    // Only the rest is a purchase.
    let (app, owner) = (&world.app, world.shop.owner);
    app.act(owner, booking, "complete").send().await.expect(200);
    let _relay = relay(app, world.worth.clone());
    eventually(Duration::from_secs(20), || async {
        (*world.worth.purchases.lock().unwrap() == [PRICE - 100]).then_some(())
    })
    .await;
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_points_will_not_pay_is_not_paid_and_the_slot_is_free(db: PgPool) {
    let world = World::new(db, "USD").await;
    for (hour, why) in [(9, "tender_value_missing"), (10, "exceeds_price")] {
        let (booking, refused) = world.pays(hour, 150, Err(why)).await;
        assert_eq!(code(&refused), (422, why.to_owned()));
        assert_eq!(world.app.status(&world.shop, booking).await, "cancelled");
    }
    // Held, and worth more than the price, or nothing: the hold is released, and nobody has to look.
    for (hour, value) in [(11, PRICE + 1), (13, 0)] {
        let (booking, refused) = world.pays(hour, 150, Ok(value)).await;
        assert_eq!(code(&refused), (422, "exceeds_price".to_owned()));
        assert_eq!(world.app.status(&world.shop, booking).await, "cancelled");
        let saga = "SELECT state = 'released' AND needs_attention_at IS NULL FROM saga WHERE booking_id = $1";
        let is_over: bool =
            sqlx::query_scalar(saga).bind(booking).fetch_one(&world.app.db).await.unwrap();
        assert!(is_over);
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn in_the_own_currency_more_points_than_the_price_are_refused_at_once(db: PgPool) {
    let world = World::new(db, "JPY").await;
    let (booking, refused) = world.pays(9, PRICE + 1, Ok(PRICE)).await;
    assert_eq!(code(&refused), (422, "invalid_points".to_owned()));
    assert_eq!(world.app.status(&world.shop, booking).await, "held");
    assert_eq!(world.app.count("saga").await, 0);
    let paid: Value = world.pays(10, PRICE, Ok(PRICE)).await.1.expect(200).json();
    assert_eq!(paid["points_value_minor"], PRICE);
}
