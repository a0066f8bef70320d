//! Booking and the real points, each on a database of its own, joined by gRPC over a socket.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use booking::domain::{Currency, Saga, Step, StepAnswer};
use booking::peers::{
    Earned, Grant, GrantHold, Grants, MembershipChange, NoGrant, Points, PointsOverGrpc, Purchase,
};
use kit::Clock;
use kit::caller::Verifier;
use proto::points::v1::earn_request::Basis;
use proto::points::v1::holds_client::HoldsClient;
use proto::points::v1::points_client::PointsClient;
use proto::points::v1::{CaptureRequest, EarnRequest, GetBalanceRequest};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use testkit::auth::FakeAuth;
use testkit::grpc::Listening;
use testkit::http::{Api, Call, Reply};
use testkit::tokens::Issuer;
use tonic::service::Routes;
use tonic::{Status, async_trait};
use uuid::Uuid;

use crate::app::{App, Shop, id, member, now};
use crate::storm::answer;

pub struct World {
    pub app: App,
    pub shop: Shop,
    pub service: Uuid,
    pub wire: Arc<Wire>,
    pub signs: Arc<Signs>,
    /// The database of points, with all rights.
    pub ledger: PgPool,
    /// The public API of points.
    pub till: Api,
    pub issuer: Issuer,
    points: Routes,
    _servers: [Listening; 2],
}

/// The price of an hour of the shop.
pub const PRICE: i64 = 5000;

impl World {
    pub async fn new(db: PgPool) -> Self {
        Self::in_currency(db, "JPY").await
    }

    /// The shop's prices are in this currency.
    pub async fn in_currency(db: PgPool, currency: &str) -> Self {
        let issuer = Issuer::new();
        let ledger = beside(&db).await;
        let pool = testkit::postgres::app_pool(&ledger, "points_app");
        let redis = kit::redis::Redis::disabled();
        let points = points::app::Points::new(pool, redis, Clock::system());
        let till = Api::new(points::http::router(points.clone(), issuer.verifier()));
        let points = points::grpc::routes(points, issuer.verifier());
        let auth = FakeAuth::new(issuer.clone()).listen().await;
        let server = testkit::grpc::listen(points.clone()).await;
        let config = testkit::auth::config(&auth.url, "booking");
        let client = PointsOverGrpc::new(&server.url, &config, Currency::default()).unwrap();
        let wire = Arc::new(Wire::new(client));

        let app = App::with(db, now(), wire.clone());
        let auth_of_members = Arc::new(Signs::new(&app, issuer.clone()));
        let app = paying(app, &auth_of_members);
        let shop = app.shop_in(currency).await;
        let service = app.priced(&shop, 60, 0, PRICE).await;
        app.working(&shop, service).await;
        let _servers = [auth, server];
        let signs = auth_of_members;
        Self { app, shop, service, wire, signs, ledger, till, issuer, points, _servers }
    }

    /// Another process of the same service, on the same database, with a wire of its own.
    pub fn replica(&self) -> App {
        let points = Arc::new(Wire::new(self.wire.points.clone()));
        paying(App::with(self.app.db.clone(), now(), points), &self.signs)
    }

    /// Gives a member points.
    pub async fn rich(&self, who: Uuid, points: i64) {
        let request = EarnRequest {
            idempotency_key: Clock::system().id().to_string(),
            member_id: who.to_string(),
            merchant_id: self.shop.merchant.to_string(),
            basis: Some(Basis::Points(points)),
            reference: "test".to_owned(),
            currency: String::new(),
            occurred_at: String::new(),
            event_id: Clock::system().id().to_string(),
        };
        let request = testkit::grpc::request(request, &self.issuer.service("booking"));
        PointsClient::new(self.points.clone()).earn(request).await.unwrap();
    }

    /// Returns a member's available points.
    pub async fn balance(&self, who: Uuid) -> i64 {
        let request = GetBalanceRequest { member_id: who.to_string() };
        let request = testkit::grpc::request(request, &self.issuer.service("inspector"));
        let balance = PointsClient::new(self.points.clone()).get_balance(request).await;
        balance.unwrap().into_inner().available
    }

    /// Captures a hold as the version before does: all of it, under its own key.
    pub async fn captured_by_the_version_before(&self, hold: Uuid) {
        let request = CaptureRequest {
            idempotency_key: format!("saga:{hold}:capture"),
            hold_id: hold.to_string(),
            points: 0,
        };
        let request = testkit::grpc::request(request, &self.issuer.service("booking"));
        HoldsClient::new(self.points.clone()).capture(request).await.unwrap();
    }

    /// So many points are worth so many minor units of this currency.
    pub async fn tender(&self, currency: &str, points: i64, minor: i64) {
        let token = self.issuer.with_roles(member(99), &[kit::caller::Role::Operator]);
        let path = format!("/v1/tender-values/{currency}");
        let body = json!({ "points": points, "minor": minor });
        let told = self.till.put(&path).bearer(&token).json(body).send().await;
        assert!(told.status.is_success(), "{}", told.text());
    }

    /// Active holds, captured ones, and those that were released.
    pub async fn holds(&self) -> [i64; 3] {
        let count = async |state: &str| {
            sqlx::query_scalar("SELECT count(*) FROM hold WHERE state = $1")
                .bind(state)
                .fetch_one(&self.ledger)
                .await
                .unwrap()
        };
        [count("active").await, count("captured").await, count("released").await]
    }

    /// The nth free hour of the shop.
    pub async fn held(&self, who: Uuid, n: usize) -> Uuid {
        let hour = [9, 10, 11, 13, 14, 15, 16][n % 7];
        let day = 2 + n / 7;
        let starts_at = format!("2030-{:02}-{:02}T{hour:02}:00", 1 + day / 27, 1 + day % 27);
        let call = self.app.hold(who, &self.shop, self.service, &starts_at);
        id(&answer(call).await.expect(201), "booking_id")
    }

    pub fn pay(&self, who: Uuid, booking: Uuid, points: impl Into<Value>) -> Call {
        let path = format!("/v1/bookings/{booking}/confirm");
        self.app.post(who, &path, json!({ "points": points.into() }))
    }

    pub async fn saga(&self, booking: Uuid) -> Value {
        let listed = self.operator("/v1/sagas?limit=100").send().await.expect(200).json();
        let items = listed["items"].as_array().unwrap();
        let found = items.iter().find(|saga| saga["booking_id"] == json!(booking)).unwrap();
        let path = format!("/v1/sagas/{}", found["saga_id"].as_str().unwrap());
        self.operator(&path).send().await.expect(200).json()
    }

    pub fn operator(&self, path: &str) -> Call {
        let token = self.app.issuer.with_roles(member(99), &[kit::caller::Role::Operator]);
        self.app.api.get(path).bearer(&token)
    }

    /// Lets every saga be due at once, and drives them until none is left.
    pub async fn settle(&self) {
        testkit::eventually(Duration::from_secs(30), || async {
            self.due("").await;
            self.app.bookings.drive_due().await.unwrap();
            let open: i64 =
                sqlx::query_scalar("SELECT count(*) FROM saga WHERE open_since IS NOT NULL")
                    .fetch_one(&self.app.db)
                    .await
                    .unwrap();
            (open == 0).then_some(())
        })
        .await;
    }

    /// Lets every open saga be due, and sets `also`, such as `, open_since = …`.
    pub async fn due(&self, also: &str) {
        let sql =
            format!("UPDATE saga SET next_attempt_at = now(){also} WHERE open_since IS NOT NULL");
        sqlx::query(AssertSqlSafe(sql)).execute(&self.app.db).await.unwrap();
    }
}

/// A database for points beside the test's own, gone when the server is or when it is made anew.
async fn beside(db: &PgPool) -> PgPool {
    let options = (*db.connect_options()).clone();
    let name = options.get_database().unwrap().replacen("_sqlx_test", "_its_point", 1);
    for sql in [
        format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"),
        format!("CREATE DATABASE \"{name}\""),
    ] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await.unwrap();
    }
    let ledger = PgPool::connect_with(options.database(&name)).await.unwrap();
    points::MIGRATOR.run(&ledger).await.unwrap();
    ledger
}

fn paying(app: App, signs: &Arc<Signs>) -> App {
    let bookings = app.bookings.clone().with_grants(signs.clone(), Currency::default());
    app.being(bookings)
}

/// Signs for the members of one issuer with the keys that points knows, or is away.
pub struct Signs {
    members: Verifier,
    issuer: Issuer,
    pub away: AtomicBool,
}

impl Signs {
    fn new(app: &App, issuer: Issuer) -> Self {
        Self { members: app.issuer.verifier(), issuer, away: AtomicBool::new(false) }
    }
}

#[async_trait]
impl Grants for Signs {
    async fn grant(&self, asked: GrantHold<'_>) -> Result<Grant, NoGrant> {
        if self.away.load(Ordering::Relaxed) {
            return Err(NoGrant::Away("unavailable"));
        }
        let token = asked.access_token.expose_secret();
        let member = self.members.member(token).await.map_err(|_| NoGrant::Refused)?;
        let GrantHold { hold_id, points, merchant_id, .. } = asked;
        Ok(self.issuer.grant(member.sub, "booking", hold_id, points, merchant_id).into())
    }
}

/// The way to points, which may be cut before a call, or after it: then the answer is lost.
pub struct Wire {
    points: PointsOverGrpc,
    cut: Mutex<Cut>,
    pub asked: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    No,
    Before,
    After(Step),
}

impl Wire {
    fn new(points: PointsOverGrpc) -> Self {
        Self { points, cut: Mutex::new(Cut::No), asked: AtomicUsize::new(0) }
    }

    pub fn cut(&self, cut: Cut) {
        *self.cut.lock().unwrap() = cut;
    }
}

#[async_trait]
impl Points for Wire {
    async fn earn(&self, purchase: Purchase) -> anyhow::Result<Earned> {
        self.points.earn(purchase).await
    }

    async fn change_membership(&self, change: MembershipChange) -> anyhow::Result<()> {
        self.points.change_membership(change).await
    }

    async fn step(
        &self,
        saga: &Saga,
        step: Step,
        grant: Option<&Grant>,
    ) -> anyhow::Result<StepAnswer> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let cut = *self.cut.lock().unwrap();
        if cut == Cut::Before {
            return Err(Status::unavailable("").into());
        }
        let heard = self.points.step(saga, step, grant).await;
        if cut == Cut::After(step) {
            return Err(Status::deadline_exceeded("").into());
        }
        heard
    }
}

pub fn code(reply: &Reply) -> (u16, String) {
    (reply.status.as_u16(), reply.code())
}
