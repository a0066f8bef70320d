use std::time::Duration;

use auth::app::Auth;
use auth::config::Mail;
use auth::hasher::Hasher;
use auth::keyring::Keyring;
use auth::mailer::Mailer;
use auth::service::Service;
use kit::caller::Verifier;
use kit::redis::Redis;
use kit::{Clock, Jobs, Service as _};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::eventually;
use testkit::http::{Api, Reply};
use testkit::postgres::app_pool;
use testkit::redis::Server;
use tokio_util::sync::{CancellationToken, DropGuard};

pub const PASSWORD: &str = "correct horse battery staple";

/// auth as in production: with its own role in the database, and its real router and routes.
pub struct TestApp {
    pub auth: Auth,
    pub api: Api,
    /// Connects as superuser, to inspect and change the database.
    pub db: PgPool,
}

impl TestApp {
    pub async fn new(db: PgPool) -> Self {
        Self::with(db, Clock::system(), Hasher::new()).await
    }

    /// Opens auth with a Redis.
    pub async fn beside(db: PgPool, server: &Server) -> Self {
        let keyring = Keyring::new(&"01".repeat(32).into()).unwrap();
        let (pool, redis) = (app_pool(&db, "auth_app"), redis(server, "auth"));
        let auth = Auth::open(pool, redis, Clock::system(), Hasher::new(), keyring).await.unwrap();
        let api = Api::new(auth::http::router(auth.clone()));
        Self { auth, api, db }
    }

    pub async fn with(db: PgPool, clock: Clock, hasher: Hasher) -> Self {
        let auth = open(&db, clock, hasher, 1).await.unwrap();
        let api = Api::new(auth::http::router(auth.clone()));
        Self { auth, api, db }
    }

    /// Starts the jobs, until the guard is dropped. Mail stays in the outbox.
    pub fn start_jobs(&self) -> DropGuard {
        let (smtp_url, mail_sink_dir) = (None, None);
        let config = Mail { smtp_url, mail_sink_dir, mail_from: "auth@example.org".to_owned() };
        let service = Service { auth: self.auth.clone(), mailer: Mailer::new(&config).unwrap() };
        let stop = CancellationToken::new();
        service.jobs(&mut Jobs::new(app_pool(&self.db, "auth_app"), stop.clone()));
        stop.drop_guard()
    }

    /// The verifier of another service, with auth's keys.
    pub fn verifier_of(&self, service: &str) -> Verifier {
        let verifier = Verifier::empty(service, Clock::system());
        let keys = self.auth.public_keys();
        verifier.set_keys(keys.iter().map(|key| (key.kid.clone(), key.bytes.clone())).collect());
        verifier
    }

    pub async fn register(&self, email: &str) -> Reply {
        let body = json!({ "email": email, "password": PASSWORD, "display_name": "Ada" });
        self.api.post("/v1/register").key(&format!("register {email}")).json(body).send().await
    }

    pub async fn login(&self, email: &str, password: &str) -> Reply {
        login(&self.api, email, password).await
    }

    /// Marks an address as verified.
    pub async fn verified(&self, email: &str) {
        let sql = "UPDATE member SET verified_at = now() WHERE email = $1";
        let verified = sqlx::query(sql).bind(email).execute(&self.db).await.unwrap();
        assert_eq!(verified.rows_affected(), 1, "{email}");
    }

    /// The API for a client with this address and cookie.
    pub fn from(&self, ip: &str, cookie: &str) -> Api {
        use axum::extract::{ConnectInfo, Request};
        let peer = std::net::SocketAddr::new(ip.parse().unwrap(), 4711);
        let cookie = axum::http::HeaderValue::from_str(cookie).unwrap();
        let router = auth::http::router(self.auth.clone());
        let router = router.layer(axum::middleware::map_request(move |mut request: Request| {
            let cookie = cookie.clone();
            async move {
                request.headers_mut().insert("cookie", cookie);
                request
            }
        }));
        Api::new(router.layer(axum::Extension(ConnectInfo(peer))))
    }

    /// Registers a member and returns an access token.
    pub async fn member(&self, email: &str) -> String {
        self.register(email).await.expect(202);
        self.token(email).await
    }

    /// Logs in again and returns the access token.
    pub async fn token(&self, email: &str) -> String {
        let reply = self.login(email, PASSWORD).await.expect(200);
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Logs in again and returns the answer.
    pub async fn session(&self, email: &str) -> Value {
        self.login(email, PASSWORD).await.expect(200).json()
    }

    /// Logs in with this `User-Agent` and returns the answer.
    pub async fn login_from(&self, agent: &str, email: &str) -> Value {
        let body = json!({ "email": email, "password": PASSWORD });
        let call = self.api.post("/v1/login").header("user-agent", agent).json(body);
        call.send().await.expect(200).json()
    }

    /// Exchanges the refresh token of a login's answer.
    pub async fn refresh(&self, session: &Value) -> Reply {
        refresh(&self.api, session, "phone").await
    }

    pub async fn count(&self, table: &'static str) -> i64 {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(count).fetch_one(&self.db).await.unwrap()
    }
}

pub async fn login(api: &Api, email: &str, password: &str) -> Reply {
    let body = json!({ "email": email, "password": password });
    api.post("/v1/login").json(body).send().await
}

/// Exchanges a refresh token as the client `agent`.
pub async fn refresh(api: &Api, session: &Value, agent: &str) -> Reply {
    let body = json!({ "refresh_token": session["refresh_token"] });
    api.post("/v1/refresh").header("user-agent", agent).json(body).send().await
}

/// A service's connection to this Redis.
pub fn redis(server: &Server, service: &'static str) -> Redis {
    Redis::new(&server.config_of(service), service, &testkit::redis::secret()).unwrap()
}

/// Waits until this number of connections waits for a lock.
pub async fn lock_waits(db: &PgPool, connections: usize) {
    eventually(Duration::from_secs(20), || async {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waiting: i64 = sqlx::query_scalar(sql).fetch_one(db).await.unwrap();
        (usize::try_from(waiting).unwrap() >= connections).then_some(())
    })
    .await;
}

/// The cookie that a reply sets.
pub fn cookie(reply: &Reply) -> String {
    reply.header("set-cookie").split(';').next().unwrap().to_owned()
}

/// Opens auth on this database with a key-encryption key made of `fill`.
pub async fn open(db: &PgPool, clock: Clock, hasher: Hasher, fill: u8) -> anyhow::Result<Auth> {
    let keyring = Keyring::new(&format!("{fill:02x}").repeat(32).into())?;
    let redis = Redis::disabled();
    Auth::open(app_pool(db, "auth_app"), redis, clock, hasher, keyring).await
}

/// The number of passwords that this process has hashed.
pub fn hashes() -> u64 {
    metric("auth_password_hash_duration_seconds_count") as u64
}

/// The value of one series of this process, such as `auth_login_total{status="success"}`.
pub fn metric(series: &str) -> f64 {
    let text = String::from_utf8(observability::metrics::render().1).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}
