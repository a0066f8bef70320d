use serde_json::{Value, json};

use crate::cast::{ANN, BEN, CYD, NINA, OTTO, STRANGER};
use crate::run::Run;
use crate::step::{At, Call, Step, Token, Until, of, reference};

impl Run<'_> {
    fn own_email(&self, who: usize) -> (&'static str, Value) {
        ("email", of(self.cast[who].name, "email"))
    }

    async fn signed_in(&mut self, who: usize) -> At {
        let hints = [self.own_email(who), ("audience", Value::Null)];
        self.ask(who, "auth", "POST /v1/login", &hints).await
    }

    /// Signs out in each of the ways, and in again.
    pub async fn session_ends(&mut self) {
        let who = *self.dice.pick(&[CYD, BEN]);
        let first = self.signed_in(who).await;
        let second = self.signed_in(who).await;
        self.ask(who, "auth", "GET /v1/me", &[]).await;
        self.ask(who, "auth", "GET /v1/sessions", &[]).await;
        let me = self.ask(who, "auth", "GET /v1/me", &[]).await;
        let profile = [("If-Match", reference(me, "/etag"))];
        self.ask(who, "auth", "PATCH /v1/me", &profile).await;
        self.ask(who, "auth", "PATCH /v1/me", &profile).await;
        let ended = [("session_id", reference(first, "/session_id"))];
        self.ask(ANN, "auth", "DELETE /v1/sessions/{id}", &ended).await;
        self.ask(who, "auth", "DELETE /v1/sessions/{id}", &ended).await;
        self.noise(2).await;
        let last = if self.dice.chance(50) { "/current" } else { "" };
        self.ask(who, "auth", &format!("DELETE /v1/sessions{last}"), &[]).await;
        for at in [first, second] {
            self.until_refused(who, "points", "GET /v1/accounts/me", at).await;
            self.until_refused(who, "booking", "GET /v1/bookings", at).await;
        }
        self.signed_in(who).await;
        // For one service alone, where there is such a thing.
        let schema = self.world.api.find("auth", "POST /v1/login").unwrap();
        let schema = self.world.api.routes[schema].body.clone().unwrap();
        let fields = self.world.api.properties("auth", &schema);
        if fields.iter().any(|(name, _)| *name == "audience") {
            let hints = [self.own_email(who), ("audience", json!("points"))];
            let narrow = self.ask(who, "auth", "POST /v1/login", &hints).await;
            self.with_token(who, "points", "GET /v1/accounts/me", narrow).await;
            self.with_token(who, "booking", "GET /v1/bookings", narrow).await;
            self.with_token(who, "auth", "GET /v1/me", narrow).await;
            self.signed_in(who).await;
        }
    }

    async fn with_token(&mut self, who: usize, service: &str, route: &str, of: At) {
        let call = self.call_with(who, service, route, of);
        self.step(Step::Calls(vec![call])).await;
    }

    /// The token is of no use any more, within the time that was promised.
    async fn until_refused(&mut self, who: usize, service: &str, route: &str, of: At) {
        let session = self.answers.get(&of).and_then(|answer| answer["session_id"].as_str());
        if session.is_some_and(|session| self.sessions.is_over(session)) {
            let call = self.call_with(who, service, route, of);
            self.step(Step::Wait(Box::new(call), Until::Refused)).await;
        }
    }

    fn call_with(&mut self, who: usize, service: &str, route: &str, of: At) -> Call {
        let route = self.world.api.find(service, route).unwrap();
        let call = self.draw(who, route, crate::draw::Style::Valid, &[]);
        Call { token: Token::Of(of), query: Vec::new(), ..call }
    }

    /// A copied refresh token ends the session for everybody.
    pub async fn refreshed_twice(&mut self) {
        let who = CYD;
        let first = self.signed_in(who).await;
        let refresh = |at: At| {
            [("refresh_token", reference(at, "/refresh_token")), ("audience", Value::Null)]
        };
        let second = self.ask(who, "auth", "POST /v1/refresh", &refresh(first)).await;
        let third = self.ask(who, "auth", "POST /v1/refresh", &refresh(second)).await;
        let answered = self.granted(third);
        self.must(who, "auth", "POST /v1/refresh", &refresh(first), &[401]).await;
        if answered {
            self.must(who, "auth", "POST /v1/refresh", &refresh(third), &[401]).await;
        }
        self.until_refused(who, "points", "GET /v1/accounts/me", third).await;
        self.until_refused(who, "auth", "GET /v1/me", third).await;
        self.signed_in(who).await;
    }

    /// A new password, and a forgotten one: what was open before is over.
    pub async fn passwords(&mut self) {
        let who = CYD;
        let old = self.signed_in(who).await;
        self.signed_in(who).await;
        let wrong = [("current_password", json!("not my password at all"))];
        self.must(who, "auth", "POST /v1/password", &wrong, &[401, 403, 422]).await;
        self.ask(who, "auth", "POST /v1/password", &[]).await;
        self.until_refused(who, "points", "GET /v1/accounts/me", old).await;
        self.forgotten(who, &[]).await;
        self.until_refused(who, "booking", "GET /v1/bookings", old).await;
        self.signed_in(who).await;
        for route in ["POST /v1/verification/resend", "POST /v1/password/forgot"] {
            let mail = [self.own_email(STRANGER)];
            self.ask(STRANGER, "auth", route, &mail).await;
        }
    }

    /// Asks for a code by mail, and sets a password with it.
    async fn forgotten(&mut self, who: usize, statuses: &'static [u16]) {
        let email = self.own_email(who);
        self.ask(who, "auth", "POST /v1/password/forgot", std::slice::from_ref(&email)).await;
        let mail = self.step(Step::Mail { who, says: "password" }).await;
        let code = reference(At { step: mail, call: 0 }, "/code");
        let hints = [email, ("code", code)];
        self.must(who, "auth", "POST /v1/password/reset", &hints, statuses).await;
    }

    /// Somebody guesses until the account is locked; its owner gets in by mail all the same.
    pub async fn guessed(&mut self) {
        let victim = self.own_email(CYD);
        for _ in 0..6 {
            let hints =
                [victim.clone(), ("password", json!("tr0ub4dor&3")), ("audience", Value::Null)];
            self.ask(STRANGER, "auth", "POST /v1/login", &hints).await;
        }
        let hints = [victim, ("password", json!("tr0ub4dor&4")), ("audience", Value::Null)];
        self.must(STRANGER, "auth", "POST /v1/login", &hints, &[429]).await;
        if !self.is_broken {
            self.forgotten(CYD, &[200]).await;
        }
    }

    /// A stranger registers somebody's address first, and signs in. When its owner has shown that it is
    /// theirs, the stranger is out.
    pub async fn hijack(&mut self) {
        let theirs = self.own_email(NINA);
        let known = self.log.iter().any(|done| {
            done.who == NINA
                && done.granted()
                && self.world.api.routes[done.route].path == "/v1/verification"
        });
        if known || self.is_broken {
            return;
        }
        let hints = [theirs.clone(), ("password", of("stranger", "password"))];
        self.ask(STRANGER, "auth", "POST /v1/register", &hints).await;
        let with =
            [theirs.clone(), ("password", of("stranger", "password")), ("audience", Value::Null)];
        let inside = self.ask(STRANGER, "auth", "POST /v1/login", &with).await;
        self.ask(NINA, "auth", "POST /v1/register", std::slice::from_ref(&theirs)).await;
        let mail = self.step(Step::Mail { who: NINA, says: "Is this your address" }).await;
        let code = reference(At { step: mail, call: 0 }, "/code");
        let proof = [theirs, ("code", code)];
        let proven = self.ask(NINA, "auth", "POST /v1/verification", &proof).await;
        if !self.granted(proven) {
            return;
        }
        self.must(STRANGER, "auth", "POST /v1/login", &with, &[401]).await;
        if self.granted(inside) {
            let refresh =
                [("refresh_token", reference(inside, "/refresh_token")), ("audience", Value::Null)];
            self.must(STRANGER, "auth", "POST /v1/refresh", &refresh, &[401]).await;
            self.until_refused(STRANGER, "auth", "GET /v1/me", inside).await;
        }
    }

    /// A merchant's role is taken away: nothing at the shop may be changed any more.
    pub async fn role_taken(&mut self) {
        if self.is_broken || !self.cast[OTTO].roles.contains(&"merchant_admin") {
            return;
        }
        let hints = [("merchant_id", self.place("m2"))];
        let before = self.signed_in(OTTO).await;
        self.step(Step::Role { who: OTTO, verb: "revoke", role: "merchant_admin" }).await;
        self.until_refused(OTTO, "booking", "GET /v1/bookings", before).await;
        let path = "POST /v1/merchants/{merchant_id}/services";
        self.signed_in(OTTO).await;
        self.must(OTTO, "booking", path, &hints, &[403, 404]).await;
        self.must(OTTO, "booking", "POST /v1/merchants", &[], &[403]).await;
        let hints = [
            ("account_id", self.place("cyd")),
            ("merchant_id", self.place("m2")),
            ("points", json!(1)),
            ("purchase_minor", Value::Null),
        ];
        let earn = "POST /v1/accounts/{id}/earnings";
        self.must(OTTO, "points", earn, &hints, &[403, 404]).await;
    }
}
