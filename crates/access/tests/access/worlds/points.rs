use axum::Router;
use kit::Clock;
use kit::caller::Role;
use kit::redis::Redis;
use points::app;
use proto::points::v1::merchants_client::MerchantsClient;
use proto::points::v1::{JoinRequest, Membership, MerchantRole};
use serde_json::{Map, json};
use sqlx::PgPool;
use testkit::http::{Api, Reply};
use testkit::postgres::app_pool;
use testkit::tokens::Issuer;
use tonic::service::Routes;
use uuid::Uuid;

use super::{Thing, World, id};

pub struct Points {
    pub issuer: Issuer,
    pub clock: Clock,
    points: app::Points,
    router: Router,
}

impl Points {
    pub fn new(db: PgPool) -> Self {
        let issuer = Issuer::new();
        let pool = app_pool(&db, "points_app");
        // Commands that wait for the database wait there.
        let redis =
            Redis::new(&testkit::redis::config_of("points"), "points", &testkit::redis::secret())
                .unwrap();
        let points = app::Points::new(pool, redis, Clock::system());
        let router = points::http::router(points.clone(), issuer.verifier());
        Self { issuer, clock: Clock::system(), points, router }
    }

    pub fn grpc(&self) -> Routes {
        points::grpc::routes(self.points.clone(), self.issuer.verifier())
    }

    /// Creates a merchant of this member.
    async fn merchant(&self, owner: Uuid) -> Uuid {
        let merchant = Clock::system().id();
        let membership = Membership {
            event_id: Clock::system().id().to_string(),
            merchant_id: merchant.to_string(),
            member_id: owner.to_string(),
            role: MerchantRole::Owner.into(),
        };
        let told = JoinRequest { membership: Some(membership) };
        let told = testkit::grpc::request(told, &self.issuer.service("booking"));
        MerchantsClient::new(self.grpc()).join(told).await.unwrap();
        merchant
    }

    async fn post(&self, path: &str, token: &str, body: serde_json::Value) -> Reply {
        let call = Api::new(self.router.clone()).post(path).bearer(token);
        Box::pin(call.key(&Clock::system().id().to_string()).json(body).send()).await.expect(201)
    }
}

impl World for Points {
    fn router(&self) -> &Router {
        &self.router
    }

    fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    async fn thing(&self) -> Thing {
        let [owner, other, shop] = [(); 3].map(|()| Clock::system().id());
        let merchant = self.merchant(shop).await;
        let token = self.issuer.member(owner);
        let operator = self.issuer.with_roles(other, &[Role::Operator]);
        let account = id(&self.post("/v1/accounts", &token, json!({})).await, "account_id");
        let theirs = self.issuer.member(other);
        let friend = id(&self.post("/v1/accounts", &theirs, json!({})).await, "account_id");
        let path = format!("/v1/accounts/{account}");
        let earn = json!({ "points": 100, "merchant_id": Uuid::nil() });
        self.post(&format!("{path}/earnings"), &operator, earn).await;
        let spend = self.post(&format!("{path}/redemptions"), &token, json!({ "points": 1 })).await;
        let body = json!({ "points": 1, "merchant_id": merchant });
        let hold = id(&self.post(&format!("{path}/holds"), &token, body).await, "hold_id");

        let rules = format!("/v1/merchants/{merchant}/conversion-rules");
        let rule = json!({ "currency": "USD", "points": 1, "per_minor": 100 });
        let rule = id(&self.post(&rules, &operator, rule).await, "rule_id");
        let mut fields = Map::new();
        fields.insert("points".to_owned(), json!(1));
        fields.insert("to_account_id".to_owned(), json!(friend));
        fields.insert("merchant_id".to_owned(), json!(merchant));
        let money =
            [("per_minor", 100), ("minor", 1), ("max_rate_percent", 20), ("budget_points", 1_000)];
        for (field, value) in money {
            fields.insert(field.to_owned(), json!(value));
        }
        Thing {
            owner,
            shop,
            ids: [
                ("accounts", account),
                ("holds", hold),
                ("transfers", id(&spend, "transfer_id")),
                ("merchants", merchant.to_string()),
                ("tender-values", "EUR".to_owned()),
                ("conversion-rules", rule),
                ("queued", Uuid::nil().to_string()),
                ("docs", "index.html".to_owned()),
            ]
            .into(),
            fields,
            queries: ["/v1/accounts/me/statement", "/v1/accounts/{id}/statement"]
                .map(|route| {
                    (route, "from=2020-01-01T00:00:00Z&to=2020-02-01T00:00:00Z".to_owned())
                })
                .into(),
            ..Thing::default()
        }
    }
}
