use axum::Router;
use incidents::app;
use incidents::http::{Credential, Login, Site};
use kit::Clock;
use kit::caller::Role;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use testkit::http::Api;
use testkit::postgres::app_pool;
use testkit::tokens::Issuer;
use tonic::service::Routes;
use uuid::Uuid;

use super::{Thing, World};

const ALERTMANAGER: &str = "what-alertmanager-brings";

pub struct Incidents {
    pub issuer: Issuer,
    pub clock: Clock,
    incidents: app::Incidents,
    router: Router,
}

impl Incidents {
    pub fn new(db: PgPool) -> Self {
        let issuer = Issuer::new();
        let pool = app_pool(&db, "incidents_app");
        let incidents = app::Incidents::new(pool, Clock::system(), app::Policy::default());
        let login = Login::new("http://127.0.0.1:9", "incidents").unwrap();
        let webhook = Credential::new(&ALERTMANAGER.into());
        let site = Site { webhook, login, secret: "its own at auth".into(), connections: 160 };
        let router = incidents::http::router(incidents.clone(), site, issuer.verifier()).unwrap();
        Self { issuer, clock: Clock::system(), incidents, router }
    }

    pub fn grpc(&self) -> Routes {
        incidents::grpc::routes(self.incidents.clone(), self.issuer.verifier())
    }

    /// Opens an incident by an alert.
    async fn burning(&self) -> String {
        let api = Api::new(self.router.clone());
        let alert = json!({
            "status": "firing", "fingerprint": Clock::system().id().simple(),
            "startsAt": "2030-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
            "labels": { "alertname": Clock::system().id(), "service": Clock::system().id(), "severity": "critical" },
        });
        let alerts = json!({ "version": "4", "truncatedAlerts": 0, "alerts": [alert] });
        api.post("/v1/alerts").bearer(ALERTMANAGER).json(alerts).send().await.expect(200);
        let operator = self.issuer.with_roles(Uuid::nil(), &[Role::Operator]);
        let list = api.get("/v1/incidents?limit=1").bearer(&operator).send().await.expect(200);
        list.json()["items"][0]["incident_id"].as_str().unwrap().to_owned()
    }
}

impl World for Incidents {
    fn router(&self) -> &Router {
        &self.router
    }

    fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    async fn thing(&self) -> Thing {
        let (other, incident) = (self.burning().await, self.burning().await);
        let operator = self.issuer.with_roles(Uuid::nil(), &[Role::Operator]);
        let action =
            json!({ "text": "Look", "priority": "high", "assignee": "Ada", "due": "2030-01-02" });
        let path = format!("/v1/incidents/{incident}/actions");
        let action = Api::new(self.router.clone())
            .post(&path)
            .bearer(&operator)
            .key(&Clock::system().id().to_string())
            .json(action)
            .send()
            .await
            .json();
        let action = action.pointer("/actions/0/action_id").and_then(Value::as_str);
        let action = action.unwrap().to_owned();
        let mut fields: Map<String, Value> = Map::new();
        for (name, value) in [
            ("incident_id", json!(other)),
            ("status", json!("identified")),
            ("severity", json!("P1")),
            ("service", json!("points")),
            ("version", json!(0)),
        ] {
            fields.insert(name.to_owned(), value);
        }
        let alerts = json!({ "version": "4", "alerts": [] });
        Thing {
            ids: [
                ("incidents", incident),
                ("{id}", "acknowledge".to_owned()),
                ("actions", action),
                ("docs", "index.html".to_owned()),
            ]
            .into(),
            fields,
            bodies: [("/v1/alerts", alerts)].into(),
            ..Thing::default()
        }
    }
}
