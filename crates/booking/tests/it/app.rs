//! The service as its callers see it, on a test's own database and at a fixed time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use booking::app::Bookings;
use booking::domain::{Saga, Step, StepAnswer};
use booking::peers::{self, Earned, Grant, MembershipChange, Points, Purchase};
use booking::seal::Seal;
use booking::{grpc, http};
use chrono::{DateTime, TimeDelta, Utc};
use kit::Clock;
use kit::caller::Role;
use proto::booking::v1::booking_client::BookingClient;
use proto::booking::v1::{GetBookingRequest, GetBookingResponse};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::{Api, Call, Reply};
use testkit::tokens::Issuer;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::Routes;
use tonic::{Status, async_trait};
use uuid::Uuid;

pub const NOW: &str = "2030-01-01T08:00:00Z";

pub struct App {
    /// Connection as the database's owner, with rights that the service lacks.
    pub db: PgPool,
    pub issuer: Issuer,
    pub api: Api,
    pub bookings: Bookings,
    grpc: Routes,
    keys: AtomicU64,
}

/// A merchant with one member of staff.
#[derive(Clone, Copy)]
pub struct Shop {
    pub owner: Uuid,
    pub merchant: Uuid,
    pub staff: Uuid,
}

impl App {
    pub fn new(db: PgPool) -> Self {
        Self::at(db, now())
    }

    /// Opens the service at another time.
    pub fn at(db: PgPool, now: DateTime<Utc>) -> Self {
        Self::with(db, now, Arc::new(NoPoints))
    }

    /// Opens the service with another ledger.
    pub fn with(db: PgPool, now: DateTime<Utc>, points: Arc<dyn Points>) -> Self {
        let clock = Clock::fixed(now);
        let issuer = Issuer::at(clock.clone());
        let bookings = Bookings::new(service_pool(&db), clock, points);
        let api = Api::new(http::router(bookings.clone(), issuer.verifier()));
        let grpc = grpc::routes(bookings.clone(), issuer.verifier());
        Self { db, issuer, api, bookings, grpc, keys: AtomicU64::new(0) }
    }

    /// Adds LINE.
    pub fn sealing(self) -> Self {
        let seal = Seal::new(&"a secret of 32 characters or more".into()).unwrap();
        let bookings = self.bookings.clone().with_seal(Some(seal));
        self.being(bookings)
    }

    /// Adds a replica.
    pub fn reading(self, replica: PgPool) -> Self {
        let bookings = self.bookings.clone().with_replica(Some(replica));
        self.being(bookings)
    }

    /// Sets the number of bookings that a member may have ahead.
    pub fn allowing(self, bookings: u32) -> Self {
        let bookings = self.bookings.clone().with_limits(10, bookings);
        self.being(bookings)
    }

    pub fn being(mut self, bookings: Bookings) -> Self {
        self.becomes(bookings);
        self
    }

    pub fn becomes(&mut self, bookings: Bookings) {
        self.api = Api::new(http::router(bookings.clone(), self.issuer.verifier()));
        self.bookings = bookings;
    }

    pub fn get(&self, who: Uuid, path: &str) -> Call {
        self.api.get(path).bearer(&self.token(who))
    }

    /// Returns a token with the role of an owner. The role alone gives no access.
    pub fn token(&self, who: Uuid) -> String {
        self.issuer.with_roles(who, &[Role::Member, Role::MerchantAdmin])
    }

    /// Returns a token without the role of an owner.
    pub fn plain(&self, who: Uuid) -> String {
        self.issuer.member(who)
    }

    /// Sends a command as an operator.
    pub fn operate(&self, path: &str, body: Value) -> Call {
        let key = self.keys.fetch_add(1, Ordering::Relaxed);
        let token = self.issuer.with_roles(member(99), &[Role::Operator]);
        self.api.post(path).bearer(&token).key(&format!("operator-{key}")).json(body)
    }

    /// A command with a key of its own.
    pub fn post(&self, who: Uuid, path: &str, body: Value) -> Call {
        let key = self.keys.fetch_add(1, Ordering::Relaxed);
        self.post_keyed(who, path, body, &format!("key-{key}"))
    }

    pub fn post_keyed(&self, who: Uuid, path: &str, body: Value, key: &str) -> Call {
        self.api.post(path).bearer(&self.token(who)).key(key).json(body)
    }

    pub fn put(&self, who: Uuid, path: &str, body: Value) -> Call {
        self.api.put(path).bearer(&self.token(who)).json(body)
    }

    pub fn delete(&self, who: Uuid, path: &str) -> Call {
        self.api.delete(path).bearer(&self.token(who))
    }

    /// Adds a service that no staff member gives.
    pub async fn service(&self, shop: &Shop, minutes: i64, buffer: i64) -> Uuid {
        self.priced(shop, minutes, buffer, 5000).await
    }

    pub async fn priced(&self, shop: &Shop, minutes: i64, buffer: i64, price: i64) -> Uuid {
        let body = json!({
            "name": "Cut", "duration_minutes": minutes, "buffer_minutes": buffer,
            "price_minor": price,
        });
        let path = format!("/v1/merchants/{}/services", shop.merchant);
        id(&self.post(shop.owner, &path, body).send().await.expect(201), "service_id")
    }

    /// The shop's person gives this service, every day from 09:00 to 17:00 with an hour's break.
    pub async fn working(&self, shop: &Shop, service: Uuid) {
        let path = format!("/v1/merchants/{}/staff/{}", shop.merchant, shop.staff);
        let body = json!({ "service_ids": [service] });
        self.put(shop.owner, &format!("{path}/services"), body).send().await.expect(200);
        let shifts = [("09:00", "12:00"), ("13:00", "17:00")];
        let day = |day: u8| {
            shifts
                .map(|(opens, closes)| json!({ "weekday": day, "opens": opens, "closes": closes }))
        };
        let body = json!({ "hours": (1..=7).flat_map(day).collect::<Vec<_>>() });
        self.put(shop.owner, &format!("{path}/hours"), body).send().await.expect(200);
    }

    /// Holds a slot at a time on the merchant's clock.
    pub fn hold(&self, who: Uuid, shop: &Shop, service: Uuid, starts_at: &str) -> Call {
        let body = json!({ "merchant_id": shop.merchant, "service_id": service,
                           "staff_id": shop.staff, "starts_at": starts_at });
        self.post(who, "/v1/holds", body)
    }

    /// Lets the time of this hold be over. The database's clock decides, which a test cannot set.
    pub async fn overdue(&self, booking: Uuid) {
        sqlx::query("UPDATE booking SET expires_at = now() WHERE booking_id = $1")
            .bind(booking)
            .execute(&self.db)
            .await
            .unwrap();
    }

    pub async fn status(&self, shop: &Shop, booking: Uuid) -> String {
        let read =
            self.get(shop.owner, &format!("/v1/bookings/{booking}")).send().await.expect(200);
        read.json()["status"].as_str().unwrap().to_owned()
    }

    pub async fn shop(&self) -> Shop {
        self.shop_of(member(1)).await
    }

    /// A shop where members can book at once: see [`App::anytime`].
    pub async fn open_shop(&self) -> Shop {
        let shop = self.shop().await;
        self.anytime(&shop).await;
        shop
    }

    /// The shop's person gives services of 15, 30, 60 and 75 minutes, for nothing, day and night.
    pub async fn anytime(&self, shop: &Shop) {
        for minutes in [15, 30, 60, 75] {
            sqlx::query(
                "WITH made AS (
                     INSERT INTO service (merchant_id, service_id, name, duration_minutes,
                                          buffer_minutes, price_minor, created_at)
                     VALUES ($1, $2, 'Any', $3, 0, 0, now()) ON CONFLICT DO NOTHING
                 )
                 INSERT INTO staff_service (merchant_id, service_id, staff_id) VALUES ($1, $2, $4)",
            )
            .bind(shop.merchant)
            .bind(anything(shop, minutes))
            .bind(i32::try_from(minutes).unwrap())
            .bind(shop.staff)
            .execute(&self.db)
            .await
            .unwrap();
        }
        let day = |day: u8| json!({ "weekday": day, "opens": "00:00", "closes": "24:00" });
        let body = json!({ "hours": (1..=7).map(day).collect::<Vec<_>>() });
        let path = format!("/v1/merchants/{}/staff/{}/hours", shop.merchant, shop.staff);
        self.put(shop.owner, &path, body).send().await.expect(200);
    }

    pub async fn shop_of(&self, owner: Uuid) -> Shop {
        self.opened(owner, "JPY").await
    }

    /// Creates a shop with prices in this currency.
    pub async fn shop_in(&self, currency: &str) -> Shop {
        self.opened(member(1), currency).await
    }

    async fn opened(&self, owner: Uuid, currency: &str) -> Shop {
        let body = json!({ "name": "Shears", "time_zone": "Asia/Tokyo", "currency": currency });
        let merchant = self.post(owner, "/v1/merchants", body).send().await.expect(201);
        let merchant = id(&merchant, "merchant_id");
        let staff = self.staff(owner, merchant).await;
        Shop { owner, merchant, staff }
    }

    pub async fn staff(&self, owner: Uuid, merchant: Uuid) -> Uuid {
        let path = format!("/v1/merchants/{merchant}/staff");
        let staff = self.post(owner, &path, json!({ "name": "Ann" })).send().await.expect(201);
        id(&staff, "staff_id")
    }

    /// Books `minutes` from `start` minutes after now, of a shop that is open [`App::anytime`].
    pub fn book(&self, who: Uuid, shop: &Shop, start: i64, minutes: i64) -> Call {
        self.post(who, "/v1/bookings", wish(shop, start, minutes))
    }

    /// The merchant takes this time themselves.
    pub fn block(&self, shop: &Shop, start: i64, minutes: i64) -> Call {
        self.post(shop.owner, "/v1/bookings", time_alone(shop, start, minutes))
    }

    pub async fn booked(&self, who: Uuid, shop: &Shop, start: i64) -> Uuid {
        id(&self.book(who, shop, start, 60).send().await.expect(201), "booking_id")
    }

    /// `cancel`, `complete`, `confirm` or `no-show`.
    pub fn act(&self, who: Uuid, booking: Uuid, verb: &str) -> Call {
        self.post(who, &format!("/v1/bookings/{booking}/{verb}"), json!({}))
    }

    pub async fn get_over_grpc(
        &self,
        service: &str,
        booking_id: &str,
    ) -> Result<GetBookingResponse, Status> {
        let message = GetBookingRequest { booking_id: booking_id.to_owned() };
        let request = testkit::grpc::request(message, &self.issuer.service(service));
        let routes = self.grpc.clone().prepare();
        BookingClient::new(routes).get_booking(request).await.map(tonic::Response::into_inner)
    }

    pub async fn count(&self, table: &'static str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(sql).fetch_one(&self.db).await.unwrap()
    }

    /// Counts the pairs of bookings that overlap in the same calendar. The constraint's own
    /// operator is not used, so that this does not believe what it is to check.
    pub async fn overlaps(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM booking a JOIN booking b
             ON a.staff_id = b.staff_id AND a.booking_id < b.booking_id
                AND lower(a.during) < upper(b.during) AND lower(b.during) < upper(a.during)
             WHERE a.status NOT IN ('cancelled', 'no_show', 'expired')
               AND b.status NOT IN ('cancelled', 'no_show', 'expired')",
        )
        .fetch_one(&self.db)
        .await
        .unwrap()
    }
}

/// A ledger that never answers, for tests that do not need it.
pub struct NoPoints;

#[async_trait]
impl Points for NoPoints {
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

/// Delivers events to these points until the guard is dropped, as the service does.
pub fn relay(app: &App, points: Arc<dyn Points>) -> DropGuard {
    let stop = CancellationToken::new();
    let (db, until) = (service_pool(&app.db), stop.clone());
    let relay = move || {
        let deliver = peers::deliver(db.clone(), points.clone(), until.clone());
        async {
            deliver.await;
            Ok(())
        }
    };
    tokio::spawn(observability::task::supervise("outbox", stop.clone(), relay));
    stop.drop_guard()
}

/// Connects as the role that the service has in production.
pub fn service_pool(db: &PgPool) -> PgPool {
    testkit::postgres::app_pool(db, "booking_app")
}

/// One of the services of [`App::anytime`].
pub fn anything(shop: &Shop, minutes: i64) -> Uuid {
    Uuid::from_u128(shop.merchant.as_u128() ^ u128::from(minutes.unsigned_abs()))
}

pub fn wish(shop: &Shop, start: i64, minutes: i64) -> Value {
    let mut body = time_alone(shop, start, minutes);
    body["service_id"] = json!(anything(shop, minutes));
    body
}

/// Returns the body of a booking without a service.
pub fn time_alone(shop: &Shop, start: i64, minutes: i64) -> Value {
    json!({
        "merchant_id": shop.merchant,
        "staff_id": shop.staff,
        "starts_at": now() + TimeDelta::minutes(start),
        "ends_at": now() + TimeDelta::minutes(start + minutes),
    })
}

pub fn now() -> DateTime<Utc> {
    NOW.parse().unwrap()
}

pub fn member(number: u128) -> Uuid {
    Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 + number)
}

pub fn id(reply: &Reply, field: &str) -> Uuid {
    reply.json()[field].as_str().unwrap().parse().unwrap()
}
