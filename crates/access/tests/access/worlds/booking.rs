use std::sync::Arc;

use axum::Router;
use booking::app::Bookings;
use booking::domain::{Saga, Step, StepAnswer};
use booking::peers::{self, Earned, Grant, MembershipChange, Purchase};
use chrono::{DateTime, Utc};
use kit::Clock;
use kit::caller::Role;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use testkit::http::{Api, Reply};
use testkit::postgres::app_pool;
use testkit::tokens::Issuer;
use tonic::async_trait;
use tonic::service::Routes;
use uuid::Uuid;

use super::{Thing, World, id};

pub struct Booking {
    pub issuer: Issuer,
    pub clock: Clock,
    bookings: Bookings,
    router: Router,
}

/// A points service that is not used: no booking here is paid with points.
struct NoPoints;

#[async_trait]
impl peers::Points for NoPoints {
    async fn earn(&self, _: Purchase) -> anyhow::Result<Earned> {
        anyhow::bail!("there is no ledger")
    }

    async fn change_membership(&self, _: MembershipChange) -> anyhow::Result<()> {
        Ok(())
    }

    async fn step(&self, _: &Saga, _: Step, _: Option<&Grant>) -> anyhow::Result<StepAnswer> {
        anyhow::bail!("there is no ledger")
    }
}

impl Booking {
    pub fn new(db: PgPool) -> Self {
        let now: DateTime<Utc> = "2030-01-01T08:00:00Z".parse().unwrap();
        let issuer = Issuer::at(Clock::fixed(now));
        let pool = app_pool(&db, "booking_app");
        let bookings = Bookings::new(pool, Clock::fixed(now), Arc::new(NoPoints));
        let router = booking::http::router(bookings.clone(), issuer.verifier());
        Self { issuer, clock: Clock::fixed(now), bookings, router }
    }

    pub fn grpc(&self) -> Routes {
        booking::grpc::routes(self.bookings.clone(), self.issuer.verifier())
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Reply {
        let call = Api::new(self.router.clone()).post(path).bearer(token);
        call.key(&Clock::system().id().to_string()).json(body).send().await.expect(201)
    }

    async fn put(&self, path: &str, token: &str, body: Value) {
        Api::new(self.router.clone()).put(path).bearer(token).json(body).send().await.expect(200);
    }
}

impl World for Booking {
    fn router(&self) -> &Router {
        &self.router
    }

    fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    async fn thing(&self) -> Thing {
        let (owner, shop) = (Clock::system().id(), Clock::system().id());
        let member = self.issuer.member(owner);
        let merchant = self.issuer.with_roles(shop, &[Role::Member, Role::MerchantAdmin]);
        let body = json!({ "name": "Shears", "time_zone": "Asia/Tokyo" });
        let shears = id(&self.post("/v1/merchants", &merchant, body).await, "merchant_id");
        let path = format!("/v1/merchants/{shears}");
        let ann = self.post(&format!("{path}/staff"), &merchant, json!({ "name": "Ann" })).await;
        let ann = id(&ann, "staff_id");
        let cut = json!({ "name": "Cut", "duration_minutes": 60, "price_minor": 5000 });
        let cut = id(&self.post(&format!("{path}/services"), &merchant, cut).await, "service_id");
        let staff = format!("{path}/staff/{ann}");
        let gives = json!({ "service_ids": [cut] });
        self.put(&format!("{staff}/services"), &merchant, gives).await;
        let hours = json!({ "weekday": 3, "opens": "09:00", "closes": "17:00" });
        self.put(&format!("{staff}/hours"), &merchant, json!({ "hours": [hours] })).await;
        let closed = json!({ "starts_at": "2030-02-01T09:00", "ends_at": "2030-02-01T10:00" });
        let closed = self.post(&format!("{path}/closures"), &merchant, closed).await;
        let hold = json!({ "merchant_id": shears, "service_id": cut, "staff_id": ann,
                           "starts_at": "2030-01-02T09:00" });
        let booking = self.post("/v1/holds", &member, hold).await;

        let mut fields = Map::new();
        for (name, value) in [
            ("merchant_id", json!(shears)),
            ("staff_id", json!(ann)),
            ("service_id", json!(cut)),
            ("service_ids", json!([cut])),
            ("hours", json!([hours])),
            ("starts_at", json!("2030-01-02T02:00:00Z")),
            ("ends_at", json!("2030-01-02T03:00:00Z")),
            ("time_zone", json!("Asia/Tokyo")),
            ("duration_minutes", json!(60)),
        ] {
            fields.insert(name.to_owned(), value);
        }
        let closures = "/v1/merchants/{merchant_id}/closures";
        let closure = json!({ "starts_at": "2030-02-02T09:00", "ends_at": "2030-02-02T10:00" });
        let slots = format!("service_id={cut}&from=2030-01-02&to=2030-01-03");
        Thing {
            owner,
            shop,
            ids: [
                ("merchants", shears),
                ("staff", ann),
                ("services", cut),
                ("closures", id(&closed, "closure_id")),
                ("bookings", id(&booking, "booking_id")),
                ("sagas", Uuid::nil().to_string()),
                ("docs", "index.html".to_owned()),
            ]
            .into(),
            fields,
            bodies: [(closures, closure)].into(),
            queries: [("/v1/merchants/{merchant_id}/slots", slots)].into(),
        }
    }
}
