use auth::app;
use auth::hasher::Hasher;
use auth::keyring::Keyring;
use axum::Router;
use kit::Clock;
use kit::redis::Redis;
use serde_json::{Map, json};
use sqlx::PgPool;
use testkit::http::Api;
use testkit::postgres::app_pool;
use testkit::tokens::Issuer;
use tonic::service::Routes;
use uuid::Uuid;

use super::{Thing, World};

const PASSWORD: &str = "correct horse battery staple";

pub struct Auth {
    pub issuer: Issuer,
    pub clock: Clock,
    auth: app::Auth,
    router: Router,
    db: PgPool,
    member: Uuid,
}

impl Auth {
    pub async fn new(db: PgPool) -> Self {
        let keyring = Keyring::new(&"01".repeat(32).into()).unwrap();
        let pool = app_pool(&db, "auth_app");
        let (clock, redis) = (Clock::system(), Redis::disabled());
        let auth = app::Auth::open(pool, redis, clock, Hasher::new(), keyring).await.unwrap();
        let issuer = Issuer::new();
        // auth has only its own key, which makes no expired tokens.
        auth.verifier().set_keys(issuer.keys());
        let router = auth::http::router(auth.clone());
        let api = Api::new(router.clone());
        let body =
            json!({ "email": "ada@example.org", "password": PASSWORD, "display_name": "Ada" });
        api.post("/v1/register").key("k").json(body).send().await.expect(202);
        let member = sqlx::query_scalar("SELECT member_id FROM member").fetch_one(&db).await;
        Self { issuer, clock: Clock::system(), auth, router, member: member.unwrap(), db }
    }

    pub fn grpc(&self) -> Routes {
        auth::grpc::routes(self.auth.clone())
    }
}

impl World for Auth {
    fn router(&self) -> &Router {
        &self.router
    }

    fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    async fn thing(&self) -> Thing {
        let session = Clock::system().id();
        let sql = "INSERT INTO session (session_id, member_id, created_at, expires_at, rotated_at,
                                        idle_expires_at, refresh_salt, device)
                   VALUES ($1, $2, now(), now() + interval '1 day', now(),
                           now() + interval '1 day', decode(repeat('00', 32), 'hex'), '')";
        sqlx::query(sql).bind(session).bind(self.member).execute(&self.db).await.unwrap();
        // Guesses must not be counted: this tests callers, not limits.
        sqlx::query("DELETE FROM login_attempt").execute(&self.db).await.unwrap();
        // A member who is no caller, so that operators may disable the account.
        let bystander = Clock::system().id();
        let sql = "INSERT INTO member (member_id, email, display_name, created_at)
                   VALUES ($1, $2, 'Bob', now())";
        let email = format!("{}@example.org", bystander.simple());
        sqlx::query(sql).bind(bystander).bind(email).execute(&self.db).await.unwrap();
        let mut fields = Map::new();
        fields.insert("email".to_owned(), json!("ada@example.org"));
        fields.insert("password".to_owned(), json!(PASSWORD));
        fields.insert("current_password".to_owned(), json!(PASSWORD));
        fields.insert("new_password".to_owned(), json!(PASSWORD));
        Thing {
            owner: self.member,
            ids: [
                ("sessions", session.to_string()),
                ("members", bystander.to_string()),
                ("docs", "index.html".to_owned()),
            ]
            .into(),
            fields,
            ..Thing::default()
        }
    }
}
