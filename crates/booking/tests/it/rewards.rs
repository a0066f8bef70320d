//! A completed booking earns points: at least once over the wire, once in effect.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use booking::domain::{Currency, Membership, NoEarning, Saga, Step, StepAnswer};
use booking::peers::{
    Earned, Grant, MembershipChange, MembershipKind, Points, PointsOverGrpc, Purchase,
};
use chrono::TimeDelta;
use kit::caller::Role;
use kit::{Clock, breaker};
use proto::points::v1::earn_request::Basis;
use proto::points::v1::points_server::{Points as Rpc, PointsServer};
use proto::points::v1::{EarnRequest, EarnResponse, GetBalanceRequest, GetBalanceResponse};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::auth::FakeAuth;
use testkit::eventually;
use testkit::grpc::Listening;
use testkit::tokens::Issuer;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status, async_trait};
use uuid::Uuid;

use crate::app::{App, Shop, id, member, now, relay};
use crate::saga_world::World;

const SOON: Duration = Duration::from_secs(20);

enum Mishap {
    Fail,
    Panic,
}

/// A ledger that records what it is asked, after some mishaps.
#[derive(Clone, Default)]
struct FakePoints {
    mishaps: Arc<Mutex<VecDeque<Mishap>>>,
    asked: Arc<Mutex<Vec<Purchase>>>,
}

impl FakePoints {
    fn after(mishaps: impl IntoIterator<Item = Mishap>) -> Self {
        Self { mishaps: Arc::new(Mutex::new(mishaps.into_iter().collect())), ..Self::default() }
    }

    fn asked(&self) -> Vec<Purchase> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Points for FakePoints {
    async fn earn(&self, purchase: Purchase) -> anyhow::Result<Earned> {
        self.asked.lock().unwrap().push(purchase);
        let mishap = self.mishaps.lock().unwrap().pop_front();
        match mishap {
            None => Ok(Earned::Points),
            Some(Mishap::Fail) => anyhow::bail!("points is away"),
            Some(Mishap::Panic) => panic!("a bug in the delivery"),
        }
    }

    async fn change_membership(&self, _: MembershipChange) -> anyhow::Result<()> {
        Ok(())
    }

    async fn step(&self, _: &Saga, _: Step, _: Option<&Grant>) -> anyhow::Result<StepAnswer> {
        anyhow::bail!("nobody pays with points here")
    }
}

async fn completed(app: &App, shop: &Shop, price: i64) -> Uuid {
    let service = app.priced(shop, 60, 0, price).await;
    app.working(shop, service).await;
    let held = app.hold(member(2), shop, service, "2030-01-02T09:00").send().await.expect(201);
    let booking = id(&held, "booking_id");
    app.act(member(2), booking, "confirm").send().await.expect(200);
    app.act(shop.owner, booking, "complete").send().await.expect(200);
    booking
}

async fn all_delivered(app: &App) {
    eventually(SOON, || async {
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM outbox_event WHERE delivered_at IS NULL")
                .fetch_one(&app.db)
                .await
                .unwrap();
        (left == 0).then_some(())
    })
    .await;
}

async fn event(app: &App) -> Uuid {
    sqlx::query_scalar("SELECT id FROM outbox_event WHERE kind = 'booking.completed'")
        .fetch_one(&app.db)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_completed_booking_earns_once(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    let booking = completed(&app, &shop, 5000).await;

    let points = FakePoints::default();
    let _relay = relay(&app, Arc::new(points.clone()));
    all_delivered(&app).await;

    let expected = Purchase {
        event: event(&app).await,
        member_id: member(2),
        merchant_id: shop.merchant,
        minor: 5000,
        reference: format!("booking:{booking}"),
        currency: Some("JPY".to_owned()),
        occurred_at: Some(now()),
    };
    assert_eq!(points.asked(), [expected]);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn after_a_failure_or_a_panic_it_asks_again_with_the_same_key(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    completed(&app, &shop, 5000).await;

    let points = FakePoints::after([Mishap::Fail, Mishap::Panic]);
    let _relay = relay(&app, Arc::new(points.clone()));
    all_delivered(&app).await;

    let asked = points.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|again| *again == asked[0]), "{asked:?}");
    assert_eq!(asked[0].event, event(&app).await);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_was_free_earns_nothing(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    completed(&app, &shop, 0).await;

    let points = FakePoints::default();
    let _relay = relay(&app, Arc::new(points.clone()));
    all_delivered(&app).await;

    assert_eq!(points.asked(), []);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn an_event_of_a_version_from_before_still_earns(db: PgPool) {
    let app = App::new(db);
    let shop = app.shop().await;
    completed(&app, &shop, 5000).await;
    sqlx::query("UPDATE outbox_event SET payload = payload - 'currency' - 'occurred_at'")
        .execute(&app.db)
        .await
        .unwrap();

    let points = FakePoints::default();
    let _relay = relay(&app, Arc::new(points.clone()));
    all_delivered(&app).await;

    let asked = points.asked();
    assert_eq!((asked[0].minor, &asked[0].currency, asked[0].occurred_at), (5000, &None, None));
}

/// Uses the real points. Between the visit and its delivery the merchant changes their rule; and their prices
/// are in dollars.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_visit_is_worth_what_the_merchants_rule_said_when_it_was_over(db: PgPool) {
    let world = World::new(db.clone()).await;
    let clock = Clock::system();
    let app = App::with(db.clone(), clock.now(), world.wire.clone());
    let owner = member(7);
    let body = json!({ "name": "Shears", "time_zone": "Asia/Tokyo", "currency": "USD" });
    let made = app.post_keyed(owner, "/v1/merchants", body, "usd").send().await.expect(201);
    let merchant = id(&made, "merchant_id");
    let staff = app.staff(owner, merchant).await;
    let shop = Shop { owner, merchant, staff };
    let service = app.priced(&shop, 60, 0, 1_000).await;
    app.working(&shop, service).await;
    let start = (clock.now() + TimeDelta::days(2)).format("%FT09:00").to_string();
    let held = app.hold(member(2), &shop, service, &start).send().await.expect(201);
    let booking = id(&held, "booking_id");
    app.act(member(2), booking, "confirm").send().await.expect(200);

    let rules = format!("/v1/merchants/{merchant}/conversion-rules");
    let operator = world.issuer.with_roles(member(99), &[Role::Operator]);
    let tell = async |path: &str, key: &str, body: Value| {
        world.till.post(path).bearer(&operator).key(key).json(body).send().await.json()
    };
    // A cent is worth a point.
    world.tender("USD", 1, 1).await;
    let rate = |points: i64| json!({ "currency": "USD", "points": points, "per_minor": 100 });
    let rule = tell(&rules, "first", rate(7)).await;
    let later = App::with(db, clock.now(), world.wire.clone());
    let done = format!("/v1/bookings/{booking}/complete");
    later.post_keyed(owner, &done, json!({}), "done").send().await.expect(200);
    let end = format!("/v1/conversion-rules/{}/end", rule["rule_id"].as_str().unwrap());
    tell(&end, "end", json!({})).await;
    tell(&rules, "second", rate(20)).await;

    let _relay = relay(&app, world.wire.clone());
    all_delivered(&app).await;
    assert_eq!(world.balance(member(2)).await, 70);
}

/// Points as it is on the wire; answers by the price.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Vec<EarnRequest>>>);

const TOO_SMALL: i64 = 99;
const TOO_MUCH: i64 = 1_000_000_000;
const OWN: i64 = 98;
const WORTHLESS: i64 = 97;
const SPENT: i64 = 96;

#[tonic::async_trait]
impl Rpc for Wire {
    async fn earn(&self, request: Request<EarnRequest>) -> Result<Response<EarnResponse>, Status> {
        let message = request.into_inner();
        let basis = message.basis;
        self.0.lock().unwrap().push(message);
        let refuse = |code| {
            kit::ApiError::new(kit::Kind::Refused, code, "member@example.com may not read this")
        };
        match basis {
            Some(Basis::PurchaseMinor(TOO_SMALL)) => Err(refuse("purchase_too_small").into()),
            Some(Basis::PurchaseMinor(OWN)) => Err(refuse("own_merchant").into()),
            Some(Basis::PurchaseMinor(WORTHLESS)) => Err(refuse("tender_value_missing").into()),
            Some(Basis::PurchaseMinor(SPENT)) => Err(refuse("issuance_budget_exhausted").into()),
            Some(Basis::PurchaseMinor(TOO_MUCH)) => Err(refuse("balance_limit_exceeded").into()),
            _ => Ok(Response::new(EarnResponse::default())),
        }
    }

    async fn get_balance(
        &self,
        _: Request<GetBalanceRequest>,
    ) -> Result<Response<GetBalanceResponse>, Status> {
        Err(Status::unimplemented("booking never asks"))
    }
}

/// Points on a real socket, behind its guard, and our client of it.
async fn over_grpc() -> (Wire, PointsOverGrpc, [Listening; 2]) {
    let issuer = Issuer::new();
    let auth = FakeAuth::new(issuer.clone()).listen().await;
    let wire = Wire::default();
    let routes = kit::grpc::guard(
        Routes::new(PointsServer::new(wire.clone())),
        issuer.verifier(),
        &[("/points.v1.Points/Earn", &["booking"])],
    );
    let server = testkit::grpc::listen(routes).await;
    let auth_config = testkit::auth::config(&auth.url, "booking");
    let client = PointsOverGrpc::new(&server.url, &auth_config, Currency::default()).unwrap();
    (wire, client, [auth, server])
}

#[tokio::test]
async fn over_grpc_the_event_is_the_key_of_the_earning() {
    let (wire, client, servers) = over_grpc().await;
    let purchase = Purchase {
        event: Uuid::from_u128(1),
        member_id: member(2),
        merchant_id: Uuid::from_u128(3),
        minor: 5000,
        reference: "booking:4".to_owned(),
        currency: Some("USD".to_owned()),
        occurred_at: Some(now()),
    };

    client.earn(purchase.clone()).await.unwrap();

    let expected = EarnRequest {
        idempotency_key: purchase.event.to_string(),
        event_id: purchase.event.to_string(),
        member_id: purchase.member_id.to_string(),
        merchant_id: purchase.merchant_id.to_string(),
        basis: Some(Basis::PurchaseMinor(5000)),
        reference: "booking:4".to_owned(),
        currency: "USD".to_owned(),
        occurred_at: "2030-01-01T08:00:00+00:00".to_owned(),
    };
    assert_eq!(wire.0.lock().unwrap()[0], expected);

    // An event of a version from before stands, with its key, for the request of that version.
    let before = Purchase { currency: None, occurred_at: None, ..purchase.clone() };
    client.earn(before).await.unwrap();
    let before = EarnRequest { currency: String::new(), occurred_at: String::new(), ..expected };
    assert_eq!(wire.0.lock().unwrap()[1], before);

    // A purchase that earns nothing is an answer; another refusal is a failure without personal data.
    for (minor, why) in [
        (TOO_SMALL, NoEarning::PurchaseTooSmall),
        (OWN, NoEarning::OwnMerchant),
        (WORTHLESS, NoEarning::TenderValueMissing),
    ] {
        let earned = client.earn(Purchase { minor, ..purchase.clone() }).await.unwrap();
        assert_eq!(earned, Earned::Nothing(why));
    }
    // A refusal that a person may resolve is retried until they see it.
    let spent = client.earn(Purchase { minor: SPENT, ..purchase.clone() }).await.unwrap_err();
    assert_eq!(code(&spent), Some(Code::FailedPrecondition));
    let refused = client.earn(Purchase { minor: TOO_MUCH, ..purchase.clone() }).await.unwrap_err();
    assert_eq!(code(&refused), Some(Code::FailedPrecondition));
    let text = format!("{refused:#}");
    assert!(text.contains("balance_limit_exceeded") && !text.contains("example.com"), "{text}");

    // The relay must see an outage as one: an outage parks no event.
    drop(servers);
    eventually(SOON, || async {
        let error = client.earn(purchase.clone()).await.err()?;
        (code(&error) == Some(Code::Unavailable)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn while_points_is_away_nobody_asks_it_neither_for_points_nor_for_who_belongs_to_whom() {
    let (_, client, servers) = over_grpc().await;
    drop(servers);
    let is_open = |error: &anyhow::Error| error.chain().any(|cause| cause.is::<breaker::Open>());
    let purchase = Purchase {
        event: Uuid::from_u128(1),
        member_id: member(2),
        merchant_id: Uuid::from_u128(3),
        minor: 5000,
        reference: "booking:4".to_owned(),
        currency: None,
        occurred_at: None,
    };
    eventually(SOON, || async { client.earn(purchase.clone()).await.err().filter(is_open) }).await;
    let membership = Membership { merchant_id: Uuid::from_u128(3), member_id: member(2) };
    let (event, kind) = (Uuid::from_u128(5), MembershipKind::OwnerJoined);
    let change = MembershipChange { event, membership, kind };
    assert!(is_open(&client.change_membership(change).await.unwrap_err()));
}

fn code(error: &anyhow::Error) -> Option<Code> {
    error.chain().find_map(|cause| cause.downcast_ref::<Status>()).map(Status::code)
}
