//! What must hold, whatever was done.

mod access;
mod bookings;
mod effects;
pub mod keys;
mod money;
mod notes;
pub mod quiet;
mod records;
pub mod sessions;

use serde_json::Value;

use crate::run::{Done, Run};
use crate::step::{At, Call};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub kind: &'static str,
    pub what: String,
}

impl Run<'_> {
    /// What a single answer may say.
    pub fn judge_answer(&mut self, call: &Call, done: &Done) {
        let route = &self.world.api.routes[done.route];
        let name = format!("{} {} {}", route.service, route.name(), done.answer.short());
        let Some(status) = done.answer.status else { return };
        if status >= 500 && status != 503 {
            self.accuse("server_error", format!("{name}: {} {:?}", done.body, done.path));
        }
        if status >= 400 {
            self.judge_problem(status, &name, done);
        } else if let Some(wrong) = self.schema_of(done, status) {
            self.accuse("not_as_documented", format!("{name}: {wrong}"));
        }
        // Overload, and a token that grew old on a slow machine, say nothing of a promise.
        let is_away = [429, 503].contains(&status) || done.answer.code() == "token_expired";
        let is_away = is_away && !call.must.contains(&status);
        if done.calm && !call.must.is_empty() && !call.must.contains(&status) && !is_away {
            let who = self.cast[done.who].name;
            let wanted = call.must;
            self.accuse(
                "broken_promise",
                format!("{who}: {name}, and not {wanted:?} ({})", done.at),
            );
        }
        if let Some(accused) = self.keys.check(route, done) {
            self.accuse(accused.kind, format!("{name}: {}", accused.what));
        }
    }

    fn schema_of(&self, done: &Done, status: u16) -> Option<String> {
        let route = &self.world.api.routes[done.route];
        let Some(schema) = route.answers.get(&status) else {
            return Some("this status is not in the document".to_owned());
        };
        let schema = schema.as_ref()?;
        // Markdown and pages have no fields.
        done.answer.media.contains("json").then_some(())?;
        self.world.api.mismatch(route.service, schema, &done.answer.body)
    }

    fn judge_problem(&mut self, status: u16, name: &str, done: &Done) {
        let body = &done.answer.body;
        let code = done.answer.code();
        if done.answer.media != "application/problem+json" || body["status"] != u64::from(status) {
            return self.accuse("no_problem", format!("{name}: {} {body}", done.answer.media));
        }
        let documented = self.world.codes.get(code).is_some_and(|all| {
            // A field's code may be told as the whole problem's.
            all.contains(&status) || status == 422
        });
        if !documented {
            self.accuse("undocumented_code", format!("{name}: docs/errors.md does not list it"));
        }
        if let Some(wrong) = self.schema_of_problem(done) {
            self.accuse("not_as_documented", format!("{name}: {wrong}"));
        }
    }

    fn schema_of_problem(&self, done: &Done) -> Option<String> {
        let route = &self.world.api.routes[done.route];
        let schema = route.answers.get(&0)?.as_ref()?;
        self.world.api.mismatch(route.service, schema, &done.answer.body)
    }

    /// An id of somebody else's and one that nothing has are answered alike.
    pub fn compare(&mut self, foreign: At, nobodys: At) {
        let find = |at: At| self.log.iter().rev().find(|done| done.at == at);
        let (Some(one), Some(other)) = (find(foreign), find(nobodys)) else { return };
        let sure = |done: &Done| {
            done.calm
                && matches!(done.answer.status, Some(400..500))
                && ![Some(401), Some(429)].contains(&done.answer.status)
        };
        if one.granted() && !other.granted() {
            return; // whether that is right is for `access` to say
        }
        let shape = |done: &Done| -> (Option<u16>, Vec<String>) {
            let text = |name: &str| match &done.answer.body[name] {
                Value::String(text) => masked(text),
                other => other.to_string(),
            };
            (done.answer.status, ["code", "title", "detail", "errors"].map(text).to_vec())
        };
        if sure(one) && sure(other) && shape(one) != shape(other) {
            let route = &self.world.api.routes[one.route];
            let who = self.cast[one.who].name;
            let what = format!(
                "{who}: {} {}: {:?} for somebody's id, {:?} for nobody's",
                route.service,
                route.name(),
                shape(one),
                shape(other)
            );
            self.accuse("tells_of_existence", what);
        }
    }

    /// Everything that needs the databases, once nothing is on its way any more.
    pub async fn judge(&mut self) {
        self.mend().await;
        self.wait_for_quiet().await;
        let records = records::Records::load(self.world).await;
        let told = self.found.len();
        self.judge_money(&records);
        self.judge_effects(&records);
        self.judge_bookings(&records);
        self.judge_access(&records);
        self.judge_notes(&records);
        self.forget_what_is_known(told);
        self.judge_sessions().await;
        self.judge_forged().await;
    }
}

impl Run<'_> {
    /// What another cast was accused of is still in the databases.
    fn forget_what_is_known(&mut self, told: usize) {
        let mut known = self.world.known.borrow_mut();
        let mut n = 0;
        self.found.retain(|found| {
            n += 1;
            n <= told || known.insert(found.what.clone())
        });
    }
}

/// Without the ids in it.
fn masked(text: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_hexdigit());
        if crate::schema::is_uuid(bare) { "<id>".to_owned() } else { word.to_owned() }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
