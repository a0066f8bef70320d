use std::time::Duration;

use kit::caller::Role;
use kit::redis::Redis;
use kit::{Clock, breaker};
use points::app::Points;
use proto::points::v1::earn_request::Basis;
use proto::points::v1::holds_client::HoldsClient;
use proto::points::v1::merchants_client::MerchantsClient;
use proto::points::v1::points_client::PointsClient;
use proto::points::v1::{
    EarnRequest, EarnResponse, GetBalanceRequest, GetBalanceResponse, HoldRequest, HoldResponse,
    JoinRequest, Membership, MerchantRole,
};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::{Api, Call, Reply};
use testkit::tokens::Issuer;
use testkit::{grpc, postgres, redis};
use tonic::Status;
use tonic::service::Routes;
use uuid::Uuid;

use crate::gate::Gate;

/// The service as production wires it: its own role, the real router, the guarded gRPC routes.
pub struct TestApp {
    pub api: Api,
    pub issuer: Issuer,
    /// A role with every privilege, unlike the service's.
    pub db: PgPool,
    pub points: Points,
    /// The service's own pool.
    pub pool: PgPool,
    routes: Routes,
}

impl TestApp {
    pub fn new(db: PgPool) -> Self {
        Self::with_redis(&redis::config_of("points"), db)
    }

    pub fn with_redis(redis: &kit::config::Redis, db: PgPool) -> Self {
        // The lock timeout of `kit::postgres::connect`.
        let pool = postgres::app_pool(&db, "points_app");
        let connect = (*pool.connect_options()).clone().options([("lock_timeout", "500ms")]);
        pool.set_connect_options(connect);
        // A machine that builds and tests at once is slow. Here, only failures open the breaker.
        let breaker = breaker::Config { slow: Duration::from_secs(30), ..redis.breaker() };
        Self::on(pool, redis, breaker, db)
    }

    /// With the database behind a gate, and the timeouts of production.
    pub fn behind(gate: &Gate, redis: &kit::config::Redis, db: PgPool) -> Self {
        let options = (*db.connect_options()).clone().username("points_app");
        let options =
            options.host("127.0.0.1").port(gate.port()).options([("lock_timeout", "500ms")]);
        let pool = kit::postgres::options(&kit::config::Postgres::new(String::new()));
        Self::on(pool.connect_lazy_with(options), redis, redis.breaker(), db)
    }

    fn on(pool: PgPool, config: &kit::config::Redis, breaker: breaker::Config, db: PgPool) -> Self {
        let issuer = Issuer::new();
        let redis = Redis::new(config, "points", &redis::secret()).unwrap();
        let queue = Redis::patient(config, "points", "fallback-queue", &redis::secret()).unwrap();
        let points = Points::new(pool.clone(), redis, Clock::system());
        let points = points.with_fallback(breaker, queue);
        let routes = points::grpc::routes(points.clone(), issuer.verifier());
        let api = Api::new(points::http::router(points.clone(), issuer.verifier()));
        Self { api, issuer, db, points, pool, routes }
    }

    pub fn get(&self, path: &str, token: &str) -> Call {
        self.api.get(path).bearer(token)
    }

    pub fn operator(&self) -> String {
        self.issuer.with_roles(id(), &[Role::Operator])
    }

    /// A new member with an account: the account's id and the member's token.
    pub async fn member(&self) -> (Uuid, String) {
        let token = self.issuer.member(id());
        let reply = self.open(&token, &key()).await.expect(201);
        (uuid(&reply.json()["account_id"]), token)
    }

    pub async fn open(&self, token: &str, key: &str) -> Reply {
        self.api.post("/v1/accounts").bearer(token).key(key).json(json!({})).send().await
    }

    /// Earns by an operator, with a key of its own.
    pub async fn earn(&self, account: Uuid, body: Value) -> Reply {
        self.earning(account, &key(), body).send().await
    }

    pub fn earning(&self, account: Uuid, key: &str, body: Value) -> Call {
        let path = format!("/v1/accounts/{account}/earnings");
        self.api.post(&path).bearer(&self.operator()).key(key).json(body)
    }

    /// Any command, with a key of its own.
    pub async fn post(&self, path: &str, token: &str, body: Value) -> Reply {
        self.api.post(path).bearer(token).key(&key()).json(body).send().await
    }

    /// A new member with an account that has earned this much.
    pub async fn rich(&self, earned: i64) -> (Uuid, String) {
        let (account, token) = self.member().await;
        self.earn(account, points(earned)).await.expect(201);
        (account, token)
    }

    /// `(earned, used, held, version)`.
    pub async fn standing(&self, account: Uuid) -> (i64, i64, i64, i64) {
        let path = format!("/v1/accounts/{account}");
        let body = self.get(&path, &self.operator()).send().await.expect(200).json();
        let field = |name: &str| body[name].as_i64().unwrap();
        (field("earned"), field("used"), field("held"), field("version"))
    }

    pub fn merchants(&self) -> MerchantsClient<Routes> {
        MerchantsClient::new(self.routes.clone())
    }

    /// Reports for booking that a member joins a merchant.
    pub async fn joins(&self, merchant: Uuid, member: Uuid, role: MerchantRole) {
        let membership = Some(membership(merchant, member, role));
        let told = self.by_booking(JoinRequest { membership });
        self.merchants().join(told).await.unwrap();
    }

    /// A new merchant, and its owner's token.
    pub async fn merchant(&self) -> (Uuid, String) {
        let (merchant, owner) = (id(), id());
        self.joins(merchant, owner, MerchantRole::Owner).await;
        (merchant, self.issuer.with_roles(owner, &[Role::Member, Role::MerchantAdmin]))
    }

    pub fn holds(&self) -> HoldsClient<Routes> {
        HoldsClient::new(self.routes.clone())
    }

    pub fn by_booking<T>(&self, message: T) -> tonic::Request<T> {
        grpc::request(message, &self.issuer.service("booking"))
    }

    /// The request with the grant that its member gave to booking.
    pub fn granted(&self, asked: HoldRequest) -> HoldRequest {
        let id = |text: &str| text.parse().unwrap_or_default();
        let (member, hold, merchant) =
            (id(&asked.member_id), id(&asked.hold_id), id(&asked.merchant_id));
        let grant = self.issuer.grant(member, "booking", hold, asked.points, merchant);
        HoldRequest { grant, ..asked }
    }

    /// Holds for booking what the member granted.
    pub async fn hold_by_booking(&self, asked: HoldRequest) -> Result<HoldResponse, Status> {
        let request = self.by_booking(self.granted(asked));
        self.holds().hold(request).await.map(tonic::Response::into_inner)
    }

    /// A member's own hold, whose id the ledger draws.
    pub async fn place(&self, account: Uuid, owner: &str, body: Value) -> Uuid {
        let path = format!("/v1/accounts/{account}/holds");
        uuid(&self.post(&path, owner, body).await.expect(201).json()["hold_id"])
    }

    /// The member whose account this is.
    pub async fn member_of(&self, account: Uuid) -> Uuid {
        let select = sqlx::query_scalar("SELECT member_id FROM account WHERE account_id = $1");
        select.bind(account).fetch_one(&self.db).await.unwrap()
    }

    pub async fn earn_by_booking(&self, message: EarnRequest) -> Result<EarnResponse, Status> {
        let request = grpc::request(message, &self.issuer.service("booking"));
        PointsClient::new(self.routes.clone()).earn(request).await.map(tonic::Response::into_inner)
    }

    pub async fn balance_by(
        &self,
        service: &str,
        member: Uuid,
    ) -> Result<GetBalanceResponse, Status> {
        let message = GetBalanceRequest { member_id: member.to_string() };
        let request = grpc::request(message, &self.issuer.service(service));
        PointsClient::new(self.routes.clone())
            .get_balance(request)
            .await
            .map(tonic::Response::into_inner)
    }

    /// Past every constraint and trigger, as a broken disk or a superuser would.
    pub async fn tamper(&self, sql: &str) {
        let mut conn = self.db.acquire().await.unwrap();
        let sql = format!(
            "SET session_replication_role = replica; {sql}; SET session_replication_role = DEFAULT"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *conn).await.unwrap();
    }

    /// The number of members' entries.
    pub async fn entries(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM entry WHERE account_id IS NOT NULL")
            .fetch_one(&self.db)
            .await
            .unwrap()
    }

    /// Asserts the invariants of every test: each transfer sums to zero, and each balance is the sum of its
    /// entries, without a gap.
    pub async fn the_books_balance(&self) {
        let wrong: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM (SELECT FROM entry GROUP BY transfer_id HAVING sum(amount) <> 0) AS t",
        )
        .fetch_one(&self.db)
        .await
        .unwrap();
        assert_eq!(wrong, 0, "transfers that do not sum to zero");

        let wrong: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM account a
             LEFT JOIN (SELECT account_id, sum(amount) AS sum, count(*) AS n, max(account_version) AS last
                        FROM entry GROUP BY account_id) e USING (account_id)
             WHERE a.earned - a.used - a.held <> COALESCE(e.sum, 0)
                OR a.held <> (SELECT COALESCE(sum(amount), 0) FROM hold h
                              WHERE h.account_id = a.account_id AND h.state = 'active')
                OR a.version <> COALESCE(e.n, 0) + 1 OR a.version <> COALESCE(e.last, 1)",
        )
        .fetch_one(&self.db)
        .await
        .unwrap();
        assert_eq!(wrong, 0, "accounts that differ from their entries");
    }
}

/// Plain points, at some merchant.
pub fn points(points: impl Into<Value>) -> Value {
    json!({ "points": points.into(), "merchant_id": Uuid::nil(), "reference": "test" })
}

/// A purchase, at some merchant.
pub fn purchase(minor: impl Into<Value>) -> Value {
    json!({ "purchase_minor": minor.into(), "merchant_id": Uuid::nil(), "reference": "test" })
}

/// The same over gRPC, with a key of its own.
pub fn message(member: Uuid, basis: Basis) -> EarnRequest {
    EarnRequest {
        idempotency_key: key(),
        member_id: member.to_string(),
        merchant_id: Uuid::nil().to_string(),
        basis: Some(basis),
        reference: "test".to_owned(),
        currency: String::new(),
        occurred_at: String::new(),
        event_id: id().to_string(),
    }
}

/// A hold as booking asks for it, with a key and an id of its own, and no grant.
pub fn wanted(member: Uuid, points: i64) -> HoldRequest {
    HoldRequest {
        idempotency_key: key(),
        hold_id: id().to_string(),
        member_id: member.to_string(),
        points,
        merchant_id: Uuid::nil().to_string(),
        reference: "booking:7".to_owned(),
        expires_in_seconds: 0,
        grant: String::new(),
        currency: String::new(),
        price_minor: 1_000_000_000,
    }
}

/// A membership as booking reports it, with an event of its own.
pub fn membership(merchant: Uuid, member: Uuid, role: MerchantRole) -> Membership {
    Membership {
        event_id: id().to_string(),
        merchant_id: merchant.to_string(),
        member_id: member.to_string(),
        role: role.into(),
    }
}

pub fn id() -> Uuid {
    Clock::system().id()
}

pub fn key() -> String {
    id().to_string()
}

pub fn uuid(value: &Value) -> Uuid {
    value.as_str().unwrap().parse().unwrap()
}
