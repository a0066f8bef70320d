//! What people do beside the public routes: read their mail, and what operators and strangers do elsewhere.

use std::time::{Duration, Instant};

use serde_json::json;
use stack::parts::service;
use stack::settings::{Settings, detours};

use crate::run::Run;
use crate::step::At;

impl Run<'_> {
    pub async fn read_mail(&mut self, step: usize, who: usize, says: &str) {
        let email = self.cast[who].email.clone();
        let used: Vec<_> = self
            .log
            .iter()
            .filter_map(|done| done.body["code"].as_str().map(str::to_owned))
            .collect();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if let Some(code) = self.world.code(&email, says).filter(|code| !used.contains(code)) {
                return self.tell_code(step, who, code);
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// The stand-in for LINE says the last one.
    pub async fn read_line(&mut self, step: usize, who: usize) {
        let url = format!("http://127.0.0.1:{}/taken", self.world.bench.ports.line);
        let used: Vec<_> = self
            .log
            .iter()
            .filter_map(|done| done.body["code"].as_str().map(str::to_owned))
            .collect();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            if let Ok(answer) = self.world.client.get(&url).send().await
                && let Ok(told) = answer.json::<serde_json::Value>().await
                && let Some(code) =
                    told["last_code"].as_str().filter(|c| !used.iter().any(|u| u == c))
            {
                return self.tell_code(step, who, code.to_owned());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn tell_code(&mut self, step: usize, who: usize, code: String) {
        let at = At { step, call: 0 };
        let told = json!({ "code": code });
        self.pool.take_in(at, who, &told);
        self.answers.insert(at, told);
    }

    pub async fn set_role(&mut self, who: usize, verb: &str, role: &'static str) {
        let bench = &self.world.bench;
        let settings = Settings {
            place: bench.place.clone(),
            ports: bench.ports.clone(),
            restart_delay: Duration::ZERO,
            via: detours(&self.world.network.detours()).unwrap(),
        };
        let email = self.cast[who].email.clone();
        let done = service::auth(&settings, &[verb, "--email", &email, "--role", role]).await;
        if done.is_err() {
            return;
        }
        let member = self.cast[who].member_id.clone();
        let person = &mut self.cast[who];
        if verb == "grant" {
            person.roles.push(role);
        } else {
            person.roles.retain(|had| *had != role);
            self.sessions.end("role revoked", |_, s| Some(&s.member) == member.as_ref());
        }
    }

    /// Alertmanager takes alerts from everybody.
    pub async fn forge(&mut self, text: &str) {
        let port = self.world.bench.ports.alertmanager;
        let alert = json!([{
            "labels": {
                "alertname": format!("Forged{}", self.nonce), "service": "points",
                "rollback": "automatic", "severity": "critical",
            },
            "annotations": {"summary": text, "description": text},
        }]);
        let url = format!("http://127.0.0.1:{port}/api/v2/alerts");
        let sent = self.world.client.post(url).json(&alert).send().await;
        if sent.is_ok_and(|answer| answer.status().is_success()) {
            self.forged.push(text.to_owned());
        }
    }
}
