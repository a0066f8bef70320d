//! Steps that nobody planned.

use serde_json::{Value, json};

use crate::cast::{MEMBERS, NINA, NO_TOKEN, OPERATOR, SELLERS, STRANGER};
use crate::draw::Style;
use crate::run::Run;
use crate::step::{At, Body, Call, Key, Step, Token};

/// Ids that only some may know of.
const PRIVATE: [&str; 8] = [
    "booking_id",
    "account_id",
    "hold_id",
    "rule_id",
    "session_id",
    "closure_id",
    "queued_id",
    "saga_id",
];

impl Run<'_> {
    pub async fn noise(&mut self, steps: usize) {
        for _ in 0..steps {
            self.random_step(15).await;
        }
    }

    /// Tries what was just seen wherever an id fits.
    pub async fn probes(&mut self, steps: usize) {
        for _ in 0..steps {
            self.random_step(80).await;
        }
    }

    async fn random_step(&mut self, curiosity: usize) {
        let step = if self.dice.chance(curiosity) {
            self.probe()
        } else {
            match self.dice.roll(100) {
                0..55 => Some(self.any_call()),
                55..68 => self.again(),
                68..82 => Some(self.together_random()),
                _ => self.twins(),
            }
        };
        let Some(step) = step else { return };
        let who: Vec<_> = step.calls().iter().map(|call| call.who).collect();
        for who in who {
            self.keep_signed_in(who).await;
        }
        self.step(step).await;
    }

    /// Who was signed out signs in again, while auth can be asked.
    pub async fn keep_signed_in(&mut self, who: usize) {
        let is_out = self.cast[who].token_for("points").is_none();
        if is_out && !self.is_broken && (MEMBERS.contains(&who) || SELLERS.contains(&who)) {
            self.log_in(vec![who]).await;
            // One that cannot sign in is not tried for ever: that would be guessing.
            if self.cast[who].token_for("points").is_none() {
                self.cast[who].tokens.insert("*".to_owned(), NO_TOKEN.to_owned());
            }
        }
    }

    fn somebody(&mut self) -> usize {
        match self.dice.roll(100) {
            0..50 => *self.dice.pick(&MEMBERS),
            50..88 => *self.dice.pick(&SELLERS),
            88..96 => STRANGER,
            _ => NINA,
        }
    }

    fn some_route(&mut self, fits: impl Fn(&crate::api::Route) -> bool) -> Option<usize> {
        let routes = &self.world.api.routes;
        let weight = |route: &crate::api::Route| match (route.service, route.path.as_str()) {
            ("auth", path) if path.contains("password") || path.contains("verification") => 1,
            ("auth", path) if path.contains("sessions") && route.changes_something() => 1,
            ("auth", "/v1/login" | "/v1/register" | "/v1/refresh") => 2,
            ("incidents", _) => 1,
            ("booking", path) if path.contains("/bookings") || path.contains("/holds") => 10,
            ("points", path) if path.contains("/holds") || path.contains("/accounts/{id}") => 9,
            _ => 4,
        };
        let all: Vec<_> = routes.iter().enumerate().filter(|(_, route)| fits(route)).collect();
        let sum: usize = all.iter().map(|(_, route)| weight(route)).sum();
        let mut drawn = self.dice.roll(sum);
        all.into_iter().find_map(|(n, route)| {
            let found = drawn < weight(route);
            drawn = drawn.saturating_sub(weight(route));
            found.then_some(n)
        })
    }

    fn any_call(&mut self) -> Step {
        let who = self.somebody();
        let route = self.some_route(|_| true).unwrap();
        let style = match self.dice.roll(100) {
            0..68 => Style::Valid,
            68..84 => Style::Edge,
            _ => Style::Hostile,
        };
        let mut call = self.draw(who, route, style, &[]);
        // A token of an earlier session, now and then.
        if self.dice.chance(4)
            && let Some(seen) = self.pool.any(&mut self.dice, "access_token", who)
        {
            call.token = Token::Of(seen.at);
        }
        Step::Calls(vec![call])
    }

    fn fill(call: &mut Call, hole: &(bool, String), id: Value) {
        match (hole, &mut call.body) {
            ((true, n), _) => call.path[n.parse::<usize>().unwrap()] = id,
            ((false, name), Body::Json(body)) => body[name.as_str()] = id,
            _ => {}
        }
    }

    /// Every id that is asked for in a body, those more often that the caller may choose: `hold_id`, where
    /// a hold is made.
    fn body_holes(&self) -> Vec<(usize, String)> {
        let api = &self.world.api;
        let mut holes = Vec::new();
        for (n, route) in api.routes.iter().enumerate().filter(|(_, r)| r.service != "incidents") {
            let Some(schema) = &route.body else { continue };
            let made = route.path.rsplit('/').next().unwrap_or_default();
            let own = format!("{}_id", made.trim_end_matches('s'));
            for (name, _) in api.properties(route.service, schema) {
                let weight = if *name == own { 6 } else { 1 };
                if name.ends_with("_id") {
                    holes.extend(std::iter::repeat_n((n, name.to_owned()), weight));
                }
            }
        }
        holes
    }

    fn probe(&mut self) -> Option<Step> {
        let seen = self.pool.recent(&mut self.dice)?;
        let told = seen.who != OPERATOR && self.dice.chance(75);
        let who = if told { seen.who } else { self.somebody() };
        // Bodies are looked at by fewer eyes than paths.
        let in_body = if self.dice.chance(50) { self.body_holes() } else { Vec::new() };
        let (route, hole) = if in_body.is_empty() {
            let fits = |r: &crate::api::Route| r.service != "incidents" && !r.slots().is_empty();
            let route = self.some_route(fits)?;
            let slots = self.world.api.routes[route].slots().len();
            (route, (true, self.dice.roll(slots).to_string()))
        } else {
            let (route, name) = self.dice.pick(&in_body).clone();
            (route, (false, name))
        };
        let mut call = self.draw(who, route, Style::Valid, &[]);
        Self::fill(&mut call, &hole, seen.template());
        // The least that can be asked.
        if let Body::Json(body) = &mut call.body
            && body["points"].is_i64()
            && self.dice.chance(60)
        {
            body["points"] = json!(1);
        }
        Some(Step::Calls(vec![call]))
    }

    /// A call of before, with its key: by the same person or another, as it was or changed.
    fn again(&mut self) -> Option<Step> {
        let singles: Vec<(usize, Call)> = self
            .trace
            .iter()
            .rev()
            .take(60)
            .filter_map(|(n, step)| match step {
                Step::Calls(calls) if calls.len() == 1 && calls[0].key == Key::Fresh => {
                    Some((*n, calls[0].clone()))
                }
                _ => None,
            })
            .filter(|(_, call)| call.who != OPERATOR)
            .collect();
        if singles.is_empty() {
            return None;
        }
        let (step, mut call) = self.dice.pick(&singles).clone();
        (call.key, call.must) = (Key::Of(At { step, call: 0 }), &[]);
        match self.dice.roll(4) {
            0 => call.who = self.somebody(),
            1 => call.body = self.draw(call.who, call.route, Style::Valid, &[]).body,
            _ => {}
        }
        Some(Step::Calls(vec![call]))
    }

    fn together_random(&mut self) -> Step {
        let Step::Calls(mut calls) = self.any_call() else { unreachable!() };
        let call = calls.remove(0);
        if self.dice.chance(30) {
            let key = format!("{}-twin-{}", self.nonce, self.dice.hex(8));
            let same = |_| Call { key: Key::Text(key.clone()), ..call.clone() };
            let keyed = call.key == Key::Fresh;
            return Step::Together(
                (0..3).map(|n| if keyed { same(n) } else { call.clone() }).collect(),
            );
        }
        // Several things at once with one object.
        let kind = *self.dice.pick(&["booking_id", "hold_id", "account_id", "merchant_id"]);
        let who = self.somebody();
        let Some(seen) = self.pool.any(&mut self.dice, kind, who) else {
            return Step::Together(vec![call.clone(), call]);
        };
        let hints = [(kind, seen.template())];
        let mut calls = Vec::new();
        for _ in 0..3 {
            let fits = |route: &crate::api::Route| {
                route.changes_something()
                    && route.slots().first().is_some_and(|slot| route.kind_of(slot) == kind)
            };
            let Some(route) = self.some_route(fits) else { continue };
            let who = if self.dice.chance(70) { seen.who } else { self.somebody() };
            if who != OPERATOR {
                calls.push(self.draw(who, route, Style::Valid, &hints));
            }
        }
        Step::Together(calls)
    }

    /// Somebody else's id, and one that nothing has.
    fn twins(&mut self) -> Option<Step> {
        let who = *self.dice.pick(&MEMBERS);
        let kind = *self.dice.pick(&PRIVATE);
        let in_body = |route: &crate::api::Route| {
            route.body.as_ref().is_some_and(|schema| {
                let fields = self.world.api.properties(route.service, schema);
                fields.iter().any(|(name, _)| *name == kind)
            })
        };
        let slot = |route: &crate::api::Route| {
            route.slots().iter().position(|slot| route.kind_of(slot) == kind)
        };
        let routes = self.world.api.routes.iter().enumerate();
        let fits =
            |(_, route): &(usize, &crate::api::Route)| slot(route).is_some() || in_body(route);
        let routes: Vec<usize> = routes.filter(fits).map(|(n, _)| n).collect();
        if routes.is_empty() {
            return None;
        }
        let route = *self.dice.pick(&routes);
        let hole = match slot(&self.world.api.routes[route]) {
            Some(n) => (true, n.to_string()),
            None => (false, kind.to_owned()),
        };
        let seen = self.pool.any(&mut self.dice, kind, who)?;
        if self.pool.was_told(who, &seen.value) {
            return None;
        }
        let mut foreign = self.draw(who, route, Style::Valid, &[]);
        let mut nobodys = foreign.clone();
        Self::fill(&mut foreign, &hole, seen.template());
        let nothing = json!(self.dice.uuid());
        Self::fill(&mut nobodys, &hole, nothing);
        Some(Step::Twins(Box::new([foreign, nobodys])))
    }
}
