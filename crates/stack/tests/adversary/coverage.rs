//! Every public route is reached, by somebody who may and by somebody who may not.

use serde_json::{Value, json};

use crate::api::Route;
use crate::cast::{ANN, BEN, CYD, OLGA, OPERATOR, OTTO, SAM, STRANGER, SUE};
use crate::draw::Style;
use crate::run::Run;
use crate::step::{Step, Token, Until, reference};
use crate::world::Reached;

/// A route that is not asked for with success, and why.
const SPARED: [(&str, &str); 1] =
    [("POST /v1/incidents/{id}/rollbacks", "would take a service back under our feet")];

fn is_spared(route: &Route) -> bool {
    SPARED.iter().any(|(spared, _)| *spared == route.name())
}

impl Run<'_> {
    /// What an operator is there for, and then whatever was not reached.
    pub async fn reach_the_rest(&mut self) {
        self.log_in_operator().await;
        self.operate().await;
        let members = [OPERATOR, OLGA, SAM, ANN, BEN, CYD];
        for round in 0..4 {
            for (n, reached) in self.missed() {
                if reached.granted == 0 && !is_spared(&self.world.api.routes[n]) {
                    for who in members {
                        let route = &self.world.api.routes[n];
                        let is_theirs = match route.service {
                            "incidents" => who == OPERATOR,
                            // Whose password is the demo's.
                            "auth" => who != OPERATOR,
                            _ => true,
                        };
                        if !is_theirs {
                            continue;
                        }
                        self.keep_signed_in(who).await;
                        let call = self.draw(who, n, Style::Valid, &[]);
                        self.step(Step::Calls(vec![call])).await;
                    }
                }
                for _ in 0..if reached.refused == 0 { 5 } else { 0 } {
                    let mut call = self.draw(STRANGER, n, Style::Hostile, &[]);
                    if round == 0 && !self.world.api.routes[n].is_open {
                        call.token = Token::None;
                    }
                    self.step(Step::Calls(vec![call])).await;
                }
            }
        }
    }

    /// An alert, its incident from beginning to end, a correction, an account that is closed and opened.
    async fn operate(&mut self) {
        let token = self.world.bench.place.secret("alert_webhook_token").unwrap();
        for name in ["DrillOne", "DrillTwo"] {
            let alert = json!([{
                "status": "firing", "fingerprint": self.dice.hex(16), "startsAt": self.just_now(),
                "labels": {"alertname": format!("{name}{}", self.nonce), "service": "points", "severity": "warning"},
                "annotations": {"summary": "a drill"},
            }]);
            let hints =
                [("alerts", alert), ("version", json!("4")), ("truncatedAlerts", Value::Null)];
            if let Some(route) = self.world.api.find("incidents", "POST /v1/alerts") {
                let mut call = self.draw(OPERATOR, route, Style::Valid, &hints);
                call.token = Token::Text(token.clone());
                self.step(Step::Calls(vec![call])).await;
            }
        }
        let none = Value::Null;
        let all = [
            ("status", none.clone()),
            ("severity", none.clone()),
            ("service", none.clone()),
            ("acknowledged", none.clone()),
            ("limit", none.clone()),
            ("cursor", none.clone()),
        ];
        let list = self.ask(OPERATOR, "incidents", "GET /v1/incidents", &all).await;
        let incident = |n: usize| reference(list, &format!("/items/{n}/incident_id"));
        let one =
            [("incident_id", incident(0)), ("text", json!("a note")), ("severity", json!("P2"))];
        self.ask(OPERATOR, "incidents", "GET /v1/incidents/{id}", &one).await;
        for what in ["acknowledgement", "comments", "severity", "services", "roles", "actions"] {
            let path = format!("POST /v1/incidents/{{id}}/{what}");
            self.ask(OPERATOR, "incidents", &path, &one).await;
        }
        let note = [one[0].clone(), ("at", json!(self.just_now())), ("text", json!("seen"))];
        self.ask(OPERATOR, "incidents", "POST /v1/incidents/{id}/timeline", &note).await;
        self.ask(OPERATOR, "incidents", "GET /v1/actions", &[]).await;
        let path = |what: &str| format!("POST /v1/incidents/{{id}}/{what}");
        let other = ("incident_id", incident(1));
        for what in ["links", "merge"] {
            let route = self.world.api.find("incidents", &path(what)).unwrap();
            let mut call = self.draw(OPERATOR, route, Style::Valid, &[one[0].clone()]);
            call.path = vec![other.1.clone()];
            self.step(Step::Calls(vec![call])).await;
        }
        let over = [one[0].clone(), ("status", json!("resolved")), ("note", json!("it is over"))];
        self.ask(OPERATOR, "incidents", &path("status"), &over).await;
        let read = "GET /v1/incidents/{id}/postmortem";
        let read = self.ask(OPERATOR, "incidents", read, &[one[0].clone()]).await;
        let version = ("version", reference(read, "/version"));
        let edited =
            [one[0].clone(), version, ("body", json!("What happened")), ("done", json!(false))];
        self.ask(OPERATOR, "incidents", &path("postmortem"), &edited).await;
        let list = self.ask(OPERATOR, "incidents", "GET /v1/actions", &[]).await;
        for pointer in ["/items/0", "/actions/0", "/0"] {
            let pointer = |name: &str| reference(list, &format!("{pointer}/{name}"));
            let done =
                [("incident_id", pointer("incident_id")), ("action_id", pointer("action_id"))];
            let path = "POST /v1/incidents/{id}/actions/{action}/done";
            self.ask(OPERATOR, "incidents", path, &done).await;
        }
        self.correct().await;
        self.sell().await;
        self.miss().await;
    }

    async fn correct(&mut self) {
        let ann = ("account_id", self.place("ann"));
        let seen =
            self.ask(OPERATOR, "points", "GET /v1/accounts/{id}", std::slice::from_ref(&ann)).await;
        let hints = [ann, ("If-Match", reference(seen, "/etag")), ("points", json!(7))];
        let path = "POST /v1/accounts/{id}/adjustments";
        let made = self.ask(OPERATOR, "points", path, &hints).await;
        let back = [("transfer_id", reference(made, "/transfer_id"))];
        self.ask(OPERATOR, "points", "POST /v1/transfers/{id}/reversal", &back).await;
        let none = Value::Null;
        let all = ["state", "open", "needs_attention", "limit", "cursor"];
        let list =
            self.ask(OPERATOR, "booking", "GET /v1/sagas", &all.map(|n| (n, none.clone()))).await;
        let saga = [("saga_id", reference(list, "/items/0/saga_id"))];
        self.ask(OPERATOR, "booking", "GET /v1/sagas/{saga_id}", &saga).await;
        let tender = [("currency_id", json!("CAD")), ("points", json!(100)), ("minor", json!(90))];
        self.ask(OPERATOR, "points", "PUT /v1/tender-values/{currency}", &tender).await;
        self.close_a_shop().await;
        let ben = [("member_id", self.member_of(BEN))];
        for method in ["PUT", "DELETE"] {
            let path = format!("{method} /v1/members/{{id}}/disabled");
            self.ask(OPERATOR, "auth", &path, &ben).await;
            self.must(BEN, "points", "GET /v1/accounts/me", &[], &[200, 401]).await;
        }
    }

    /// What only a merchant does, by its owner.
    async fn sell(&mut self) {
        let held = [
            ("account_id", self.place("ann")),
            ("merchant_id", self.place("m1")),
            ("points", json!(1)),
            ("expires_in_seconds", json!(600)),
        ];
        let held = self.ask(ANN, "points", "POST /v1/accounts/{id}/holds", &held).await;
        let hold = [("hold_id", reference(held, "/hold_id")), ("points", json!(1))];
        self.ask(OLGA, "points", "POST /v1/holds/{id}/capture", &hold).await;
        let shop = ("merchant_id", self.place("m1"));
        let services = "/v1/merchants/{merchant_id}/services";
        let made = self
            .ask(OLGA, "booking", &format!("POST {services}"), std::slice::from_ref(&shop))
            .await;
        let edited =
            [shop, ("service_id", reference(made, "/service_id")), ("If-Match", json!("\"1\""))];
        self.ask(OLGA, "booking", &format!("PUT {services}/{{service_id}}"), &edited).await;
    }

    /// An appointment that begins at once, and to which nobody comes.
    async fn miss(&mut self) {
        let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
        let at = |seconds: i64| {
            let at = now + chrono::TimeDelta::seconds(seconds);
            json!(at.format("%Y-%m-%dT%H:%M:%SZ").to_string())
        };
        let person = [("merchant_id", self.place("m1")), ("member_id", Value::Null)];
        let person =
            self.ask(OLGA, "booking", "POST /v1/merchants/{merchant_id}/staff", &person).await;
        let hints = [
            ("merchant_id", self.place("m1")),
            ("staff_id", reference(person, "/staff_id")),
            ("service_id", Value::Null),
            ("starts_at", at(2)),
            ("ends_at", at(2 + 600)),
        ];
        let booked = self.ask(OLGA, "booking", "POST /v1/bookings", &hints).await;
        let route = "POST /v1/bookings/{booking_id}/no-show";
        let hints = [("booking_id", reference(booked, "/booking_id"))];
        let route = self.world.api.find("booking", route).unwrap();
        let call = self.draw(OLGA, route, Style::Valid, &hints);
        self.step(Step::Wait(Box::new(call), Until::Granted)).await;
    }

    /// A shop that is closed takes no booking and gives nothing away; its next owner owns it alone.
    async fn close_a_shop(&mut self) {
        let shop = ("merchant_id", self.place("m2"));
        let service = ("service_id", self.place("service2"));
        let close = "POST /v1/merchants/{merchant_id}/closure";
        let closed = self.ask(OPERATOR, "booking", close, std::slice::from_ref(&shop)).await;
        if !self.granted(closed) {
            return;
        }
        let services = "POST /v1/merchants/{merchant_id}/services";
        let earn = "POST /v1/accounts/{id}/earnings";
        let give = [
            shop.clone(),
            ("account_id", self.place("cyd")),
            ("points", json!(1)),
            ("purchase_minor", Value::Null),
        ];
        let refused = &[403, 404, 409, 422];
        self.must(OTTO, "booking", services, std::slice::from_ref(&shop), refused).await;
        self.must(CYD, "booking", "POST /v1/holds", &[shop.clone(), service], refused).await;
        self.step(Step::Quiet).await;
        for who in [OTTO, SUE] {
            self.must(who, "points", earn, &give, refused).await;
        }
        let next = [shop.clone(), ("member_id", self.member_of(OLGA))];
        let hand_over = "POST /v1/merchants/{merchant_id}/owner";
        self.ask(OPERATOR, "booking", hand_over, &next).await;
        self.must(OTTO, "booking", services, std::slice::from_ref(&shop), refused).await;
        self.ask(OLGA, "booking", services, &[shop]).await;
    }

    fn just_now(&self) -> String {
        let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
        now.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    fn missed(&self) -> Vec<(usize, Reached)> {
        let reached = self.world.reached.borrow();
        let routes = self.world.api.routes.iter().enumerate();
        let all = routes.map(|(n, _)| (n, reached.get(&n).copied().unwrap_or_default()));
        all.filter(|(_, reached)| reached.granted == 0 || reached.refused == 0).collect()
    }

    /// What was never reached, as people read it; and how often each was.
    pub fn coverage(&self) -> (String, Vec<String>) {
        let reached = self.world.reached.borrow();
        let (mut table, mut missed) = (String::new(), Vec::new());
        for (n, route) in self.world.api.routes.iter().enumerate() {
            let Reached { granted, refused } = reached.get(&n).copied().unwrap_or_default();
            let name = format!("{} {}", route.service, route.name());
            table += &format!("{granted:>6} granted {refused:>6} refused  {name}\n");
            // A page without parameters, for everybody, has nothing to refuse.
            let no_reason = route.is_open && !route.changes_something() && route.params.is_empty();
            if granted == 0 && !is_spared(route) {
                missed.push(format!("{name}: never granted"));
            }
            if refused == 0 && !no_reason {
                missed.push(format!("{name}: never refused"));
            }
        }
        (table, missed)
    }
}
