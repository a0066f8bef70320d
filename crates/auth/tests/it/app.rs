use auth::app::Auth;
use auth::hasher::Hasher;
use auth::keyring::Keyring;
use kit::Clock;
use kit::redis::Redis;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::{Api, Reply};
use testkit::postgres::app_pool;

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
    pub async fn beside(db: PgPool, redis: Redis) -> Self {
        let keyring = Keyring::new(&"01".repeat(32).into()).unwrap();
        let pool = app_pool(&db, "auth_app");
        let auth = Auth::open(pool, redis, Clock::system(), Hasher::new(), keyring).await.unwrap();
        let api = Api::new(auth::http::router(auth.clone()));
        Self { auth, api, db }
    }

    pub async fn with(db: PgPool, clock: Clock, hasher: Hasher) -> Self {
        let auth = open(&db, clock, hasher, 1).await.unwrap();
        let api = Api::new(auth::http::router(auth.clone()));
        Self { auth, api, db }
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
