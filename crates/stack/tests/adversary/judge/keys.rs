//! An idempotency key belongs to one person and one request.

use std::collections::HashMap;

use super::Violation;
use crate::api::Route;
use crate::run::Done;

/// The member, the route with its ids, the key.
type Name = (String, String, String);

struct First {
    body: String,
    status: Option<u16>,
    answer: String,
}

#[derive(Default)]
pub struct Keys(HashMap<Name, First>);

impl Keys {
    pub fn check(&mut self, route: &Route, done: &Done) -> Option<Violation> {
        let key = done.key.clone()?;
        let principal = done.principal.clone()?;
        let mut path = route.name();
        for (slot, id) in route.slots().iter().zip(&done.path) {
            path = path.replace(&format!("{{{slot}}}"), id);
        }
        let name = (principal, format!("{} {path}", route.service), key);
        let answer = &done.answer;
        let known = self.0.get(&name);
        let body = done.body.to_string();
        let accuse = |kind, what: &str| Some(Violation { kind, what: what.to_owned() });
        let mut found = None;
        if let Some(first) = known {
            let sure = first.status.is_some_and(|s| (200..300).contains(&s) && s != 202);
            if sure && answer.granted() && first.body != body {
                found = accuse("key_without_fingerprint", "another body under the same key");
            } else if sure
                && answer.granted()
                && answer.status != Some(202)
                && first.answer != answer.text
            {
                found = accuse("not_the_first_answer", "the repetition was answered differently");
            }
        } else if answer.replayed {
            found = accuse("key_of_another", "a repetition of what this person never asked");
        }
        // A refusal is not kept, and neither is an answer that will not stay true.
        let is_kept = known.is_some_and(|f| f.status.is_some_and(|s| s != 202 && s < 300));
        if !is_kept {
            let first = First { body, status: answer.status, answer: answer.text.clone() };
            self.0.insert(name, first);
        }
        found
    }
}
