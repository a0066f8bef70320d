//! Who takes part.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::draw::{Hints, Style};
use crate::run::Run;
use crate::step::{At, Step, Until, of, reference};

/// Sets up, and grants what it may. It takes no part in what is random.
pub const OPERATOR: usize = 0;
pub const ANN: usize = 1;
pub const BEN: usize = 2;
pub const CYD: usize = 3;
/// Owns a shop whose prices are in yen; `SAM` works there.
pub const OLGA: usize = 4;
pub const SAM: usize = 5;
/// Owns a shop whose prices are in dollars; `SUE` works there.
pub const OTTO: usize = 6;
pub const SUE: usize = 7;
/// Has no account.
pub const STRANGER: usize = 8;
/// Has an address, and registers late.
pub const NINA: usize = 9;

/// In place of a token: this person cannot sign in.
pub const NO_TOKEN: &str = "none";

pub const MEMBERS: [usize; 3] = [ANN, BEN, CYD];
pub const SELLERS: [usize; 4] = [OLGA, SAM, OTTO, SUE];
const REGISTERED: std::ops::RangeInclusive<usize> = ANN..=SUE;

const NAMES: [&str; 10] =
    ["operator", "ann", "ben", "cyd", "olga", "sam", "otto", "sue", "stranger", "nina"];

pub struct Person {
    pub name: &'static str,
    pub email: String,
    pub password: String,
    pub next_password: String,
    /// The access token of the last session for a service; `*` for those that are for all.
    pub tokens: HashMap<String, String>,
    pub member_id: Option<String>,
    pub roles: Vec<&'static str>,
}

impl Person {
    pub fn everybody(nonce: &str) -> Vec<Self> {
        let person = |name: &&'static str| Self {
            name,
            email: format!("{name}-{nonce}@example.com"),
            password: format!("Violet harbor {nonce} {}", name.len()),
            next_password: format!("Amber lantern {nonce} {}", name.len()),
            tokens: HashMap::new(),
            member_id: None,
            roles: vec!["member"],
        };
        NAMES.iter().map(person).collect()
    }

    pub fn token_for(&self, service: &str) -> Option<String> {
        self.tokens.get(service).or_else(|| self.tokens.get("*")).cloned()
    }
}

impl Run<'_> {
    pub fn place(&self, name: &str) -> Value {
        self.places[name].clone()
    }

    /// One call of a route that must exist, as a step of its own; where its answer is.
    pub async fn ask(&mut self, who: usize, service: &str, route: &str, hints: Hints<'_>) -> At {
        self.must(who, service, route, hints, &[]).await
    }

    /// The same with the statuses that are right while nothing is broken.
    pub async fn must(
        &mut self,
        who: usize,
        service: &str,
        route: &str,
        hints: Hints<'_>,
        statuses: &'static [u16],
    ) -> At {
        let Some(route) = self.world.api.find(service, route) else {
            return At { step: usize::MAX, call: 0 };
        };
        if !self.world.api.routes[route].is_open {
            self.keep_signed_in(who).await;
        }
        let mut call = self.draw(who, route, Style::Valid, hints);
        // Whoever cannot sign in, locked out by guessing, is refused before anything else.
        let is_out = self.cast[who].tokens.get("*").is_some_and(|token| token == NO_TOKEN);
        let says_nothing = is_out && !self.world.api.routes[route].is_open;
        call.must = if says_nothing { &[] } else { statuses };
        let step = self.step(Step::Calls(vec![call])).await;
        At { step, call: 0 }
    }

    /// Everybody has an account with points on it, both shops are open.
    pub async fn set_up(&mut self) {
        self.know_operator();
        self.register(REGISTERED.collect()).await;
        for (who, role) in
            [(OLGA, "merchant_admin"), (OTTO, "merchant_admin"), (SAM, "staff"), (SUE, "staff")]
        {
            self.step(Step::Role { who, verb: "grant", role }).await;
        }
        self.log_in(REGISTERED.collect()).await;
        self.log_in_operator().await;
        self.open_shop(OLGA, SAM, "1", "JPY").await;
        self.open_shop(OTTO, SUE, "2", "USD").await;
        // For all casts after the first, dollars have a worth.
        if self.seed > 1000 {
            let worth =
                [("currency_id", json!("USD")), ("points", json!(100)), ("minor", json!(66))];
            self.ask(OPERATOR, "points", "PUT /v1/tender-values/{currency}", &worth).await;
        }
        for who in REGISTERED {
            let account = self.ask(who, "points", "POST /v1/accounts", &[]).await;
            let name: &'static str = ["ann", "ben", "cyd", "olga", "sam", "otto", "sue"][who - 1];
            self.places.insert(name, reference(account, "/account_id"));
        }
        for name in ["ann", "ben"] {
            self.give(name, 4000).await;
        }
        self.set_up = self.trace.len();
    }

    /// The demo's.
    pub fn know_operator(&mut self) {
        let password = stack::demo::people::password(&self.world.bench.place).unwrap();
        let operator = &mut self.cast[OPERATOR];
        (operator.email, operator.password) = ("operator@example.com".to_owned(), password);
        operator.roles.push("operator");
    }

    /// The first shop gives points away.
    pub async fn give(&mut self, name: &'static str, points: i64) {
        let hints = [
            ("account_id", self.place(name)),
            ("merchant_id", self.place("m1")),
            ("points", json!(points)),
            ("purchase_minor", Value::Null),
        ];
        let route = self.world.api.find("points", "POST /v1/accounts/{id}/earnings").unwrap();
        let call = self.draw(OLGA, route, Style::Valid, &hints);
        self.step(Step::Wait(Box::new(call), Until::Granted)).await;
    }

    /// Registers and shows that the address is theirs.
    pub async fn register(&mut self, people: Vec<usize>) {
        let route = self.world.api.find("auth", "POST /v1/register").unwrap();
        let calls: Vec<_> = people.iter().map(|who| self.draw_own(*who, route)).collect();
        self.step(Step::Together(calls)).await;
        let route = self.world.api.find("auth", "POST /v1/verification").unwrap();
        let mut calls = Vec::new();
        for who in people {
            let mail = self.step(Step::Mail { who, says: "Is this your address" }).await;
            let code = reference(At { step: mail, call: 0 }, "/code");
            let hints = [("code", code), ("email", of(self.cast[who].name, "email"))];
            calls.push(self.draw(who, route, Style::Valid, &hints));
        }
        self.step(Step::Together(calls)).await;
    }

    fn draw_own(&mut self, who: usize, route: usize) -> crate::step::Call {
        let hints = [("email", of(self.cast[who].name, "email")), ("audience", Value::Null)];
        self.draw(who, route, Style::Valid, &hints)
    }

    pub async fn log_in(&mut self, people: Vec<usize>) {
        let route = self.world.api.find("auth", "POST /v1/login").unwrap();
        let calls = people.iter().map(|who| self.draw_own(*who, route)).collect();
        self.step(Step::Together(calls)).await;
    }

    /// Where a token is for one service alone, one for each.
    pub async fn log_in_operator(&mut self) {
        let route = self.world.api.find("auth", "POST /v1/login").unwrap();
        let schema = self.world.api.routes[route].body.clone().unwrap();
        let fields = self.world.api.properties("auth", &schema);
        let by_service = fields.iter().any(|(name, _)| *name == "audience");
        let audiences =
            if by_service { &["auth", "points", "booking", "incidents"][..] } else { &[""] };
        for audience in audiences {
            let audience = if by_service { json!(audience) } else { Value::Null };
            let hints = [("email", of("operator", "email")), ("audience", audience)];
            let call = self.draw(OPERATOR, route, Style::Valid, &hints);
            self.step(Step::Calls(vec![call])).await;
        }
    }

    async fn open_shop(&mut self, owner: usize, staff: usize, n: &'static str, currency: &str) {
        let none = Value::Null;
        let hints = [("currency", json!(currency)), ("time_zone", json!("UTC"))];
        let shop = self.ask(owner, "booking", "POST /v1/merchants", &hints).await;
        let shop = reference(shop, "/merchant_id");
        let key = |name: &str| -> &'static str {
            match (name, n) {
                ("m", "1") => "m1",
                ("m", _) => "m2",
                ("service", "1") => "service1",
                ("service", _) => "service2",
                ("staff", "1") => "staff1",
                _ => "staff2",
            }
        };
        self.places.insert(key("m"), shop.clone());
        let hints = [("merchant_id", shop.clone()), ("price_minor", json!(3000))];
        let path = "POST /v1/merchants/{merchant_id}/services";
        let service = self.ask(owner, "booking", path, &hints).await;
        let service = reference(service, "/service_id");
        self.places.insert(key("service"), service.clone());
        let path = "POST /v1/merchants/{merchant_id}/staff";
        let hints = [("merchant_id", shop.clone()), ("member_id", none)];
        let person = self.ask(owner, "booking", path, &hints).await;
        let person = reference(person, "/staff_id");
        self.places.insert(key("staff"), person.clone());
        let member = json!(self.cast[staff].member_id);
        let member = if member.is_null() { json!(self.dice.uuid()) } else { self.member_of(staff) };
        let hints = [
            ("merchant_id", shop.clone()),
            ("staff_id", person),
            ("service_ids", json!([service])),
            ("member_id", member),
        ];
        for what in ["services", "hours", "member"] {
            let path = format!("PUT /v1/merchants/{{merchant_id}}/staff/{{staff_id}}/{what}");
            self.ask(owner, "booking", &path, &hints).await;
        }
        let hints = [
            ("merchant_id", shop),
            ("max_rate_percent", json!(10)),
            ("budget_points", json!(60_000)),
        ];
        self.ask(OPERATOR, "points", "PUT /v1/merchants/{id}/issuance", &hints).await;
    }

    /// Whom this person is to auth, by what their login said.
    pub fn member_of(&self, who: usize) -> Value {
        let login = self.log.iter().find(|done| {
            done.who == who && done.granted() && done.answer.body["member_id"].is_string()
        });
        login.map_or(Value::Null, |done| reference(done.at, "/member_id"))
    }
}
