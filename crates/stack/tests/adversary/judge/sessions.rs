//! What ends a session, and for how long its tokens may go on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cast::STRANGER;
use crate::run::{Done, Run};

/// Promised is one second; the rest is for a busy machine.
const LATEST: Duration = Duration::from_secs(3);

pub struct Session {
    pub who: usize,
    pub member: String,
    pub email: String,
    token: String,
    ended: Option<(Instant, &'static str)>,
    is_probed: bool,
}

#[derive(Default)]
pub struct Sessions {
    by_id: HashMap<String, Session>,
    /// Its session, and the service that it is for alone.
    by_token: HashMap<String, (String, Option<String>)>,
}

impl Sessions {
    pub fn of_token(&self, token: &str) -> Option<String> {
        self.by_token.get(token).map(|(session, _)| session.clone())
    }

    pub fn audience(&self, token: &str) -> Option<String> {
        self.by_token.get(token).and_then(|(_, audience)| audience.clone())
    }

    pub fn member(&self, id: &str) -> String {
        self.by_id[id].member.clone()
    }

    pub fn is_over(&self, id: &str) -> bool {
        self.by_id.get(id).is_some_and(|session| session.ended.is_some())
    }

    /// All that fit are over.
    pub fn end(&mut self, why: &'static str, fits: impl Fn(&str, &Session) -> bool) {
        for (id, session) in &mut self.by_id {
            if session.ended.is_none() && fits(id, session) {
                session.ended = Some((Instant::now(), why));
            }
        }
    }
}

impl Run<'_> {
    pub fn follow_sessions(&mut self, done: &Done) {
        let route = &self.world.api.routes[done.route];
        self.check_token(done);
        if route.service != "auth" {
            return;
        }
        let name = route.name();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let own = done.session.clone().unwrap_or_default();
        let member = done.principal.clone().unwrap_or_default();
        if !done.granted() {
            if done.answer.code() == "refresh_token_reused" {
                let token = text(&done.body["refresh_token"]);
                self.end_family(&token);
            }
            return;
        }
        match name.as_str() {
            "POST /v1/login" | "POST /v1/refresh" => self.begin_session(done),
            "DELETE /v1/sessions/current" => self.sessions.end("signed out", |id, _| id == own),
            "DELETE /v1/sessions/{id}" => {
                let ended = done.path[0].clone();
                self.sessions.end("ended", |id, session| id == ended && session.member == member);
            }
            "DELETE /v1/sessions" => {
                self.sessions.end("signed out everywhere", |_, s| s.member == member);
            }
            "POST /v1/password" => {
                self.sessions.end("new password", |id, s| s.member == member && id != own);
                self.set_password(done.who, &done.body["new_password"]);
            }
            "POST /v1/password/reset" | "POST /v1/verification" => self.prove_address(done, &name),
            "PUT /v1/members/{id}/disabled" => {
                let disabled = done.path[0].clone();
                self.sessions.end("disabled", |_, s| s.member == disabled);
            }
            _ => {}
        }
    }

    fn begin_session(&mut self, done: &Done) {
        let text = |name: &str| done.answer.body[name].as_str().unwrap_or_default().to_owned();
        let (id, token, member) = (text("session_id"), text("access_token"), text("member_id"));
        let known = self.sessions.by_id.get(&id);
        let email = done.body["email"].as_str().map(str::to_owned);
        let email = email.or_else(|| known.map(|session| session.email.clone()));
        let audience = done.body["audience"].as_str().map(str::to_owned);
        let ended = known.and_then(|session| session.ended);
        let session = Session {
            who: done.who,
            member: member.clone(),
            email: email.unwrap_or_default(),
            token: token.clone(),
            ended,
            is_probed: false,
        };
        self.sessions.by_id.insert(id.clone(), session);
        self.sessions.by_token.insert(token.clone(), (id, audience.clone()));
        let person = &mut self.cast[done.who];
        person.tokens.insert(audience.unwrap_or_else(|| "*".to_owned()), token);
        if done.who != STRANGER {
            person.member_id = Some(member);
        }
    }

    fn end_family(&mut self, refresh: &str) {
        let answers = self.log.iter().filter(|done| done.granted());
        let of = answers.filter(|done| done.answer.body["refresh_token"] == refresh);
        let ids: Vec<_> = of.filter_map(|d| d.answer.body["session_id"].as_str()).collect();
        self.sessions.end("its refresh token was copied", |id, _| ids.contains(&id));
    }

    fn set_password(&mut self, who: usize, new: &Value) {
        let person = &mut self.cast[who];
        if let Some(new) = new.as_str().filter(|new| *new != person.password) {
            person.next_password = std::mem::replace(&mut person.password, new.to_owned());
        }
    }

    /// Who reads the mail of an address owns the account: what others had on it is over.
    fn prove_address(&mut self, done: &Done, name: &str) {
        let email = done.body["email"].as_str().unwrap_or_default().to_owned();
        let Some(owner) = self.cast.iter().position(|person| person.email == email) else { return };
        if name.ends_with("/reset") {
            self.sessions.end("password reset", |_, s| s.email == email);
        } else {
            let why = "its address was verified by somebody else";
            self.sessions.end(why, |_, s| s.email == email && s.who != owner);
        }
        self.set_password(owner, &done.body["new_password"]);
    }

    /// A token that is over, or for another service, opens nothing.
    fn check_token(&mut self, done: &Done) {
        let route = &self.world.api.routes[done.route];
        let Some(session) = done.session.as_ref().and_then(|id| self.sessions.by_id.get(id)) else {
            return;
        };
        let name = format!("{} {}", route.service, route.name());
        let over = ["session_revoked", "token_expired", "invalid_token"];
        if done.answer.status == Some(401) && over.contains(&done.answer.code()) {
            let token = session.token.clone();
            self.cast[done.who].tokens.retain(|_, known| *known != token);
            return;
        }
        if !done.granted() || route.is_open {
            return;
        }
        if let Some(audience) = &done.audience
            && audience != route.service
        {
            let what = format!("{name} took a token that is for {audience}");
            return self.accuse("wrong_audience", what);
        }
        if let Some((ended, why)) = session.ended
            && done.begun > ended + LATEST
            && self.broken_until + LATEST < ended
            && !self.is_broken
        {
            let late = done.begun - ended;
            let what = format!("{name} took a token {late:.1?} after the session's end: {why}");
            self.accuse("token_outlives", what);
        }
    }

    /// Once everything runs, every token whose session has ended is refused everywhere.
    pub async fn judge_sessions(&mut self) {
        let probes =
            [("auth", "/v1/sessions"), ("points", "/v1/accounts/me"), ("booking", "/v1/bookings")];
        let mut over = Vec::new();
        for session in self.sessions.by_id.values_mut() {
            if let (Some((_, why)), false) = (session.ended, session.is_probed) {
                session.is_probed = true;
                over.push((session.token.clone(), why));
            }
        }
        for (token, why) in over {
            let deadline = Instant::now() + Duration::from_secs(5);
            for (service, path) in probes {
                let url = self.world.bench.url(service, path);
                let mut status;
                loop {
                    let call = self.world.client.get(&url).bearer_auth(&token);
                    status = call.send().await.map_or(0, |answer| answer.status().as_u16());
                    if status == 401 || Instant::now() > deadline {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                if status != 401 {
                    let what = format!(
                        "{service} {path} answers {status} after the end of a session: {why}"
                    );
                    self.accuse("token_outlives", what);
                }
            }
        }
    }
}
