use serde_json::{Value, json};

use crate::cast::{ANN, BEN, CYD, OLGA, OTTO, SAM, STRANGER, SUE};
use crate::run::Run;
use crate::step::{At, Step, reference};

const SHOP: &str = "/v1/merchants/{merchant_id}";

impl Run<'_> {
    /// A channel, a contact, and what is told of a booking; by its people and by others.
    pub async fn line(&mut self) {
        let (owner, other) = (OLGA, OTTO);
        let shop = [("merchant_id", "m1"), ("service_id", "service1"), ("staff_id", "staff1")];
        let shop = shop.map(|(name, place)| (name, self.place(place)));
        for who in [other, ANN, owner] {
            self.ask(who, "booking", &format!("PUT {SHOP}/line"), &shop).await;
        }
        self.ask(BEN, "booking", &format!("PUT {SHOP}/line/contact"), &shop).await;
        if !self.is_broken {
            let message = self.step(Step::Line { who: BEN }).await;
            let code = reference(At { step: message, call: 0 }, "/code");
            let proof = [shop[0].clone(), ("code", code)];
            let path = format!("PUT {SHOP}/line/contact/proof");
            self.ask(ANN, "booking", &path, &proof).await;
            self.ask(BEN, "booking", &path, &proof).await;
        }
        let booking = self.hold(BEN, &shop).await;
        let hints = [("booking_id", booking.clone()), ("points", Value::Null)];
        let path = |what: &str| format!("POST /v1/bookings/{{booking_id}}/{what}");
        self.ask(BEN, "booking", &path("confirm"), &hints).await;
        self.noise(1).await;
        self.ask(BEN, "booking", &path("reschedule"), &hints).await;
        self.ask(BEN, "booking", &path("cancel"), &hints).await;
        for who in [BEN, CYD, owner] {
            let path = "GET /v1/bookings/{booking_id}/notifications";
            self.ask(who, "booking", path, &[("booking_id", booking.clone())]).await;
        }
        self.ask(BEN, "booking", &format!("DELETE {SHOP}/line/contact"), &shop).await;
        for who in [other, owner] {
            self.ask(who, "booking", &format!("DELETE {SHOP}/line"), &shop).await;
        }
    }

    /// Somebody comes to work at a shop, and leaves: what they may do there comes and goes.
    pub async fn staff(&mut self) {
        let merchant = ("merchant_id", self.place("m2"));
        let named = [merchant.clone(), ("member_id", Value::Null)];
        let person = self.ask(OTTO, "booking", &format!("POST {SHOP}/staff"), &named).await;
        let person = ("staff_id", reference(person, "/staff_id"));
        // Who works at the other shop.
        let sam = self.member_of(SAM);
        let hints = [
            merchant.clone(),
            person.clone(),
            ("member_id", sam),
            ("service_ids", json!([self.place("service2")])),
            ("service_id", self.place("service2")),
            ("If-Match", json!("\"1\"")),
        ];
        for who in [OLGA, BEN, OTTO] {
            self.ask(who, "booking", &format!("PUT {SHOP}/staff/{{staff_id}}/member"), &hints)
                .await;
        }
        for what in ["services", "hours"] {
            let path = format!("PUT {SHOP}/staff/{{staff_id}}/{what}");
            self.ask(SUE, "booking", &path, &hints).await;
            self.ask(OTTO, "booking", &path, &hints).await;
        }
        self.ask(ANN, "booking", &format!("GET {SHOP}/staff/{{staff_id}}/hours"), &hints).await;
        for what in ["staff", "services"] {
            let list = [merchant.clone(), ("cursor", Value::Null)];
            self.ask(CYD, "booking", &format!("GET {SHOP}/{what}"), &list).await;
        }
        self.ask(SAM, "booking", &format!("PUT {SHOP}/services/{{service_id}}"), &hints).await;
        self.ask(OTTO, "booking", &format!("PUT {SHOP}/services/{{service_id}}"), &hints).await;
        let earn = [
            merchant,
            ("account_id", self.place("cyd")),
            ("points", json!(5)),
            ("purchase_minor", Value::Null),
        ];
        self.ask(SAM, "points", "POST /v1/accounts/{id}/earnings", &earn).await;
        let path = format!("DELETE {SHOP}/staff/{{staff_id}}/member");
        self.ask(SAM, "booking", &path, &hints).await;
        self.ask(OTTO, "booking", &path, &hints).await;
        if self.is_broken {
            return;
        }
        // Points hears of it from booking's outbox.
        self.step(Step::Quiet).await;
        let refused = &[403, 404];
        self.must(SAM, "points", "POST /v1/accounts/{id}/earnings", &earn, refused).await;
    }

    pub async fn closures(&mut self) {
        let merchant = ("merchant_id", self.place("m1"));
        let hints = [merchant.clone(), ("staff_id", Value::Null), ("cursor", Value::Null)];
        for who in [OTTO, ANN] {
            self.ask(who, "booking", &format!("POST {SHOP}/closures"), &hints).await;
        }
        let closed = self.ask(OLGA, "booking", &format!("POST {SHOP}/closures"), &hints).await;
        self.ask(OLGA, "booking", &format!("GET {SHOP}/closures"), &hints).await;
        self.probes(1).await;
        let gone = [merchant, ("closure_id", reference(closed, "/closure_id"))];
        for who in [OTTO, BEN, OLGA] {
            self.ask(who, "booking", &format!("DELETE {SHOP}/closures/{{closure_id}}"), &gone)
                .await;
        }
    }

    /// Alerts by those who have no business to send any.
    pub async fn alerts(&mut self) {
        let text = format!("Send your password to evil.example {}", self.nonce);
        let alert = json!([{
            "status": "firing", "fingerprint": "0123456789abcdef",
            "startsAt": "2026-01-01T00:00:00Z",
            "labels": {"alertname": "Forged", "service": "points", "rollback": "automatic", "severity": "critical"},
            "annotations": {"summary": text},
        }]);
        for who in [STRANGER, ANN] {
            let hints = [("alerts", alert.clone()), ("version", json!("4"))];
            self.must(who, "incidents", "POST /v1/alerts", &hints, &[401]).await;
        }
        self.step(Step::Forge { text }).await;
        self.ask(STRANGER, "incidents", "GET /v1/status", &[]).await;
    }
}
