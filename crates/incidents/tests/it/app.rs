use std::net::SocketAddr;

use incidents::app::{Incidents, Policy};
use incidents::http::{Credential, Login, Site};
use kit::Clock;
use kit::caller::Role;
use kit::config::{Edge, Limits, Listen, Tls};
use kit::health::Health;
use kit::redis::Redis;
use kit::serve::{Listeners, Servers};
use proto::incidents::v1::incidents_client::IncidentsClient;
use proto::incidents::v1::{ListOpenRequest, ListOpenResponse};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::{Api, Call, Reply};
use testkit::tokens::Issuer;
use testkit::{grpc, postgres};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;
use tonic::service::Routes;

pub const TOKEN: &str = "what-alertmanager-brings";

/// The number of connections that the port accepts.
pub const CONNECTIONS: usize = 160;

/// The service as production wires it: its own role, the real router, the guarded gRPC routes.
pub struct TestApp {
    pub api: Api,
    pub issuer: Issuer,
    /// A pool with all privileges, unlike the service's.
    pub db: PgPool,
    pub incidents: Incidents,
    pub router: axum::Router,
    routes: Routes,
}

impl TestApp {
    pub fn new(db: PgPool) -> Self {
        Self::on(postgres::app_pool(&db, "incidents_app"), db)
    }

    /// The service on a pool of its own.
    pub fn on(pool: PgPool, db: PgPool) -> Self {
        Self::with(pool, db, "http://127.0.0.1:9")
    }

    /// The service with this policy.
    pub fn policed(db: PgPool, policy: Policy) -> Self {
        let pool = postgres::app_pool(&db, "incidents_app");
        Self::made(pool, db, "http://127.0.0.1:9", policy, Clock::system())
    }

    /// The service with an auth to sign in at.
    pub fn with(pool: PgPool, db: PgPool, auth: &str) -> Self {
        Self::made(pool, db, auth, Policy::default(), Clock::system())
    }

    /// The service with an auth to sign in at, at another time.
    pub fn at(db: PgPool, auth: &str, clock: Clock) -> Self {
        Self::made(postgres::app_pool(&db, "incidents_app"), db, auth, Policy::default(), clock)
    }

    fn made(pool: PgPool, db: PgPool, auth: &str, policy: Policy, clock: Clock) -> Self {
        let issuer = Issuer::new();
        let incidents = Incidents::new(pool, clock, policy);
        let login = Login::new(auth, "incidents").unwrap();
        let site = Site {
            webhook: Credential::new(&TOKEN.into()),
            login,
            secret: "the service's own at auth".into(),
            connections: CONNECTIONS,
        };
        let routes = incidents::grpc::routes(incidents.clone(), issuer.verifier());
        let router = incidents::http::router(incidents.clone(), site, issuer.verifier()).unwrap();
        let api = Api::new(router.clone());
        Self { api, issuer, db, incidents, router, routes }
    }

    /// Serves behind listeners, which know the client's address, until the guard is dropped.
    pub fn serve(&self, edge: Edge) -> (SocketAddr, DropGuard) {
        let any = "127.0.0.1:0".parse().unwrap();
        let limits = Limits { max_connections: CONNECTIONS, ..Limits::default() };
        let tls = Tls::default();
        let listen =
            Listen { http_listen: any, grpc_listen: any, admin_listen: any, limits, edge, tls };
        let listeners = Listeners::bind(&listen).unwrap();
        let at = listeners.addresses().unwrap().http;
        let pool = postgres::app_pool(&self.db, "incidents_app");
        let servers = Servers {
            http: self.router.clone(),
            grpc: self.routes.clone(),
            health: Health::new("incidents", pool, Redis::disabled()),
        };
        let stop = CancellationToken::new();
        tokio::spawn(listeners.serve(servers, stop.clone()));
        (at, stop.drop_guard())
    }

    /// Delivers alerts as Alertmanager does.
    pub async fn deliver(&self, alerts: &[Value]) -> Reply {
        self.delivery(&payload(alerts)).send().await
    }

    pub fn delivery(&self, payload: &Value) -> Call {
        self.api.post("/v1/alerts").bearer(TOKEN).json(payload)
    }

    pub async fn list(&self, query: &str) -> Reply {
        self.get(&format!("/v1/incidents?{query}")).await
    }

    /// Sends a GET as an operator.
    pub async fn get(&self, path: &str) -> Reply {
        let operator = self.issuer.with_roles(Clock::system().id(), &[Role::Operator]);
        self.api.get(path).bearer(&operator).send().await
    }

    /// Sends a command on an incident as an operator.
    pub async fn act(&self, id: &str, what: &str, body: Value) -> Reply {
        let operator = self.issuer.with_roles(Clock::system().id(), &[Role::Operator]);
        let key = Clock::system().id().to_string();
        let call = self.api.post(&format!("/v1/incidents/{id}/{what}")).bearer(&operator);
        call.key(&key).json(body).send().await
    }

    /// Opens an incident by this alert, and returns its id.
    pub async fn open(&self, alert: &Value) -> String {
        self.deliver(std::slice::from_ref(alert)).await.expect(200);
        self.incidents().await[0]["incident_id"].as_str().unwrap().to_owned()
    }

    pub async fn incident(&self, id: &str) -> Value {
        self.get(&format!("/v1/incidents/{id}")).await.expect(200).json()
    }

    pub async fn list_open(&self, service: &str, limit: i32) -> Result<ListOpenResponse, Status> {
        let request = grpc::request(ListOpenRequest { limit }, &self.issuer.service(service));
        let mut client = IncidentsClient::new(self.routes.clone());
        client.list_open(request).await.map(tonic::Response::into_inner)
    }

    /// Returns every incident, newest first.
    pub async fn incidents(&self) -> Vec<Value> {
        self.list("limit=100").await.expect(200).json()["items"].as_array().unwrap().clone()
    }

    pub async fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&self.db).await.unwrap()
    }
}

/// Returns a delivery as Alertmanager 0.25 sends it.
pub fn payload(alerts: &[Value]) -> Value {
    json!({
        "version": "4",
        "groupKey": "{}:{alertname=\"HighErrorRate\"}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "incidents",
        "groupLabels": { "alertname": "HighErrorRate" },
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": alerts,
    })
}

/// Returns a firing alert with a cause of its own.
pub fn firing(fingerprint: &str) -> Value {
    json!({
        "status": "firing",
        "labels": {
            "alertname": "HighErrorRate", "service": "points", "severity": "critical",
            "cause": fingerprint,
        },
        "annotations": { "summary": format!("{fingerprint} fails") },
        "startsAt": "2030-01-01T00:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": fingerprint,
    })
}

/// Returns the same alert with its end.
pub fn resolved(firing: &Value) -> Value {
    with(with(firing.clone(), "/status", "resolved"), "/endsAt", "2030-01-01T00:10:00Z")
}

/// Returns the alert with one value changed.
pub fn with(mut alert: Value, pointer: &str, value: impl Into<Value>) -> Value {
    *alert.pointer_mut(pointer).unwrap() = value.into();
    alert
}

/// Returns an alert with exactly these labels.
pub fn labelled(fingerprint: &str, labels: Value) -> Value {
    with(firing(fingerprint), "/labels", labels)
}
