use serde_json::{Value, json};

use crate::cast::{ANN, BEN, CYD, OLGA, OTTO, SAM, SUE};
use crate::draw::Style;
use crate::fault::Fault;
use crate::run::Run;
use crate::step::{At, Step, reference};

const EARN: &str = "POST /v1/accounts/{id}/earnings";
const RULES: &str = "POST /v1/merchants/{id}/conversion-rules";

impl Run<'_> {
    /// A purchase, a gift, a redemption; seen from both sides.
    pub async fn ledger(&mut self) {
        let none = Value::Null;
        let shop = [
            ("account_id", self.place("cyd")),
            ("merchant_id", self.place("m1")),
            ("currency", none.clone()),
            ("purchase_minor", json!(self.dice.range(1000, 20_000))),
            ("points", none),
        ];
        let earned = self.ask(SAM, "points", EARN, &shop).await;
        self.same_again(earned).await;
        self.probes(1).await;
        // Another shop's staff.
        self.ask(SUE, "points", EARN, &shop).await;
        let gift = [
            ("account_id", self.place("ann")),
            ("to_account_id", self.place("ben")),
            ("points", json!(self.dice.range(1, 300))),
        ];
        self.ask(ANN, "points", "POST /v1/accounts/{id}/transfers", &gift).await;
        self.ask(CYD, "points", "POST /v1/accounts/{id}/transfers", &gift).await;
        self.ask(ANN, "points", "POST /v1/accounts/{id}/redemptions", &gift).await;
        for what in ["", "/history", "/statement"] {
            let path = format!("GET /v1/accounts/me{what}");
            self.ask(ANN, "points", &path, &[("kind", Value::Null), ("cursor", Value::Null)]).await;
            let path = format!("GET /v1/accounts/{{id}}{what}");
            let hints = [gift[0].clone(), ("kind", Value::Null), ("cursor", Value::Null)];
            self.ask(ANN, "points", &path, &hints).await;
        }
        self.spend_all_at_once().await;
        let back = [("transfer_id", reference(earned, "/transfer_id"))];
        self.ask(CYD, "points", "POST /v1/transfers/{id}/reversal", &back).await;
        self.ask(OLGA, "points", "POST /v1/transfers/{id}/reversal", &back).await;
        // What was given for a purchase that is taken back.
        for _ in 0..2 {
            self.ask(crate::cast::OPERATOR, "points", "POST /v1/transfers/{id}/reversal", &back)
                .await;
        }
    }

    /// The same points, in every way there is, at the same time.
    async fn spend_all_at_once(&mut self) {
        let hints = [
            ("account_id", self.place("ben")),
            ("to_account_id", self.place("cyd")),
            ("points", json!(900)),
            ("merchant_id", self.place("m1")),
        ];
        let mut calls = Vec::new();
        for what in ["transfers", "redemptions", "holds", "transfers", "redemptions", "holds"] {
            let name = format!("POST /v1/accounts/{{id}}/{what}");
            if let Some(route) = self.world.api.find("points", &name) {
                calls.push(self.draw(BEN, route, Style::Valid, &hints));
            }
        }
        self.step(Step::Together(calls)).await;
    }

    /// Promised points: captured in part, released, both at once, by those who may and who may not.
    pub async fn holds(&mut self) {
        let route = "POST /v1/accounts/{id}/holds";
        let own = [
            ("account_id", self.place("ann")),
            ("merchant_id", self.place("m1")),
            ("points", json!(100)),
            ("expires_in_seconds", json!(600)),
            ("hold_id", json!(self.dice.uuid())),
        ];
        let held = self.ask(ANN, "points", route, &own).await;
        let hold = [("hold_id", reference(held, "/hold_id")), ("points", json!(60))];
        self.ask(ANN, "points", "GET /v1/holds/{id}", &hold).await;
        self.probes(2).await;
        // Whose shop it is not, then whose it is.
        self.ask(SUE, "points", "POST /v1/holds/{id}/capture", &hold).await;
        self.ask(OTTO, "points", "POST /v1/holds/{id}/capture", &hold).await;
        let captured = self.ask(SAM, "points", "POST /v1/holds/{id}/capture", &hold).await;
        self.same_again(captured).await;
        let mut own = own;
        own[4].1 = json!(self.dice.uuid());
        let held = self.ask(ANN, "points", route, &own).await;
        let hold = [("hold_id", reference(held, "/hold_id")), ("points", json!(100))];
        if self.dice.chance(50) {
            self.ask(BEN, "points", "POST /v1/holds/{id}/release", &hold).await;
            self.ask(ANN, "points", "POST /v1/holds/{id}/release", &hold).await;
            return;
        }
        let mut calls = Vec::new();
        for (who, what) in [(ANN, "release"), (SAM, "capture"), (ANN, "release"), (OLGA, "capture")]
        {
            let name = format!("POST /v1/holds/{{id}}/{what}");
            if let Some(route) = self.world.api.find("points", &name) {
                calls.push(self.draw(who, route, Style::Valid, &hold));
            }
        }
        self.step(Step::Together(calls)).await;
    }

    /// Two rules, one after the other; the first is ended where the second applies already.
    pub async fn rules(&mut self) {
        let day = |days: i64| {
            let at = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
            json!((at + chrono::TimeDelta::days(days)).format("%Y-%m-%dT00:00:00Z").to_string())
        };
        let merchant = self.place("m2");
        // A place in time of its own: rules are for ever.
        let base = 10 + self.dice.range(0, 500) * 40;
        let rule = |from: i64, until: i64| {
            vec![
                ("merchant_id", merchant.clone()),
                ("currency", json!("USD")),
                ("valid_from", day(base + from)),
                ("valid_until", day(base + until)),
            ]
        };
        let first = self.ask(OTTO, "points", RULES, &rule(0, 10)).await;
        self.ask(OTTO, "points", RULES, &rule(10, 20)).await;
        self.ask(OLGA, "points", RULES, &rule(20, 30)).await;
        self.ask(ANN, "points", RULES, &rule(20, 30)).await;
        let list =
            [("merchant_id", merchant.clone()), ("cursor", Value::Null), ("currency", Value::Null)];
        self.ask(SUE, "points", "GET /v1/merchants/{id}/conversion-rules", &list).await;
        self.probes(1).await;
        let end = [("rule_id", reference(first, "/rule_id")), ("at", day(base + 15))];
        self.ask(OLGA, "points", "POST /v1/conversion-rules/{id}/end", &end).await;
        self.ask(OTTO, "points", "POST /v1/conversion-rules/{id}/end", &end).await;
        let end = [("rule_id", reference(first, "/rule_id")), ("at", day(base + 5))];
        self.ask(OTTO, "points", "POST /v1/conversion-rules/{id}/end", &end).await;
    }

    /// While the ledger's database is away, a seller's earning waits; it counts once.
    pub async fn queued(&mut self) {
        let hints = [
            ("account_id", self.place("cyd")),
            ("merchant_id", self.place("m1")),
            ("purchase_minor", Value::Null),
            ("points", json!(self.dice.range(1, 40))),
        ];
        let who = if self.dice.chance(70) { OLGA } else { SUE };
        // Its role is known, whoever's the shop is.
        self.inflict(Fault::Cut("points", "postgres")).await;
        let mut queued = self.ask(who, "points", EARN, &hints).await;
        for _ in 0..6 {
            let told = self.answers.get(&queued);
            if told.is_some_and(|answer| answer["queued_id"].is_string()) {
                break;
            }
            // Its outage is noticed, in a moment.
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            queued = self.ask(who, "points", EARN, &hints).await;
        }
        self.same_again(queued).await;
        self.noise(2).await;
        self.heal().await;
        let at = [("queued_id", reference(queued, "/queued_id"))];
        self.ask(ANN, "points", "GET /v1/queued/{id}", &at).await;
        self.ask(who, "points", "GET /v1/queued/{id}", &at).await;
        self.same_again(queued).await;
    }

    /// People of a shop give points to themselves, and to each other.
    pub async fn own_merchant(&mut self) {
        for (who, account) in [(OLGA, "olga"), (SAM, "sam"), (SAM, "olga"), (OLGA, "sam")] {
            let hints = [
                ("account_id", self.place(account)),
                ("merchant_id", self.place("m1")),
                ("points", json!(30)),
                ("purchase_minor", Value::Null),
            ];
            // Others may have left the shop meanwhile; then it is for the judge to say.
            let refused: &[u16] = if account == "olga" { &[403, 404, 422] } else { &[] };
            self.must(who, "points", EARN, &hints, refused).await;
        }
        // A visit at one's own shop.
        let (_, shop) =
            (0, [("merchant_id", self.place("m1")), ("service_id", self.place("service1"))]);
        let booking = self.hold(OLGA, &shop).await;
        let hints = [("booking_id", booking), ("points", Value::Null)];
        self.ask(OLGA, "booking", "POST /v1/bookings/{booking_id}/confirm", &hints).await;
        self.ask(OLGA, "booking", "POST /v1/bookings/{booking_id}/complete", &hints).await;
    }

    /// More than a shop may give away, in a few large parts at the same time.
    pub async fn budget(&mut self) {
        let route = self.world.api.find("points", EARN).unwrap();
        for _ in 0..2 {
            let mut calls = Vec::new();
            for account in ["ann", "ben", "cyd"] {
                let hints = [
                    ("account_id", self.place(account)),
                    ("merchant_id", self.place("m2")),
                    ("points", json!(15_000)),
                    ("purchase_minor", Value::Null),
                ];
                calls.push(self.draw(OTTO, route, Style::Valid, &hints));
            }
            self.step(Step::Together(calls)).await;
        }
        let mine = [("merchant_id", self.place("m2")), ("budget_points", json!(1_000_000_000))];
        for route in ["PUT /v1/merchants/{id}/issuance", "GET /v1/merchants/{id}/issuance"] {
            let _: At = self.ask(OTTO, "points", route, &mine).await;
            let _: At = self.ask(ANN, "points", route, &mine).await;
        }
        for route in ["PUT /v1/tender-values/{currency}", "GET /v1/tender-values"] {
            self.ask(OTTO, "points", route, &[("currency_id", json!("USD"))]).await;
        }
    }
}
