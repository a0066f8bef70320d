//! Everything that was ever seen in an answer, and where.

use serde_json::Value;

use crate::dice::Dice;
use crate::schema::is_uuid;
use crate::step::{At, reference};

/// Tokens and codes are known to whom they were given. Ids are not secrets: everybody knows each.
const SECRETS: [&str; 3] = ["access_token", "refresh_token", "code"];

#[derive(Clone, Debug)]
pub struct Seen {
    /// The name of the field, such as `booking_id`.
    pub kind: String,
    pub value: String,
    pub at: At,
    pub pointer: String,
    /// Whom the answer was for.
    pub who: usize,
}

impl Seen {
    /// As it is written into a call, so that a replay finds its own.
    pub fn template(&self) -> Value {
        reference(self.at, &self.pointer)
    }

    fn is_secret(&self) -> bool {
        SECRETS.contains(&self.kind.as_str())
    }
}

#[derive(Default)]
pub struct Pool {
    seen: Vec<Seen>,
}

impl Pool {
    /// Takes in all that an answer tells.
    pub fn take_in(&mut self, at: At, who: usize, body: &Value) {
        self.walk(at, who, body, String::new(), "");
    }

    fn walk(&mut self, at: At, who: usize, value: &Value, pointer: String, name: &str) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    self.walk(at, who, value, format!("{pointer}/{field}"), field);
                }
            }
            Value::Array(items) => {
                // Of a long list, the first ones.
                for (n, item) in items.iter().enumerate().take(8) {
                    let name = name.strip_suffix('s').unwrap_or(name);
                    self.walk(at, who, item, format!("{pointer}/{n}"), name);
                }
            }
            Value::String(text) => {
                let interests = is_uuid(text)
                    || SECRETS.contains(&name)
                    || ["next_cursor", "etag", "item"].contains(&name);
                if interests && name != "request_id" {
                    let (kind, value) = (name.to_owned(), text.clone());
                    self.seen.push(Seen { kind, value, at, pointer, who });
                }
            }
            _ => {}
        }
    }

    fn known_to(&self, who: usize) -> impl DoubleEndedIterator<Item = &Seen> {
        self.seen.iter().filter(move |seen| seen.who == who || !seen.is_secret())
    }

    /// Something of this kind that this person was told, the latest first.
    pub fn own(&self, dice: &mut Dice, kind: &str, who: usize) -> Option<Seen> {
        let own = self.known_to(who).rev().filter(|s| s.who == who && kind.ends_with(&s.kind));
        nearly_first(dice, own)
    }

    /// The same, whoever was told.
    pub fn any(&self, dice: &mut Dice, kind: &str, who: usize) -> Option<Seen> {
        let all: Vec<_> = self.known_to(who).filter(|s| kind.ends_with(&s.kind)).collect();
        (!all.is_empty()).then(|| (*dice.pick(&all)).clone())
    }

    /// One of the ids that were seen last, of whatever kind.
    pub fn recent(&self, dice: &mut Dice) -> Option<Seen> {
        let mut recent: Vec<&Seen> = Vec::new();
        for seen in self.seen.iter().rev().filter(|s| is_uuid(&s.value)) {
            // News is what was not known before.
            if !recent.iter().any(|known| known.value == seen.value) && self.is_news(seen) {
                recent.push(seen);
            }
            if recent.len() == 5 {
                break;
            }
        }
        let depth = if dice.chance(50) { 2 } else { recent.len() };
        (!recent.is_empty()).then(|| recent[dice.roll(depth.min(recent.len()))].clone())
    }

    fn is_news(&self, seen: &Seen) -> bool {
        self.seen.iter().find(|s| s.value == seen.value).is_some_and(|first| first.at == seen.at)
    }

    /// Whether this person was ever told this value.
    pub fn was_told(&self, who: usize, value: &str) -> bool {
        self.seen.iter().any(|s| s.who == who && s.value == value)
    }
}

/// Mostly the first, now and then one of the next.
fn nearly_first<'a>(dice: &mut Dice, found: impl Iterator<Item = &'a Seen>) -> Option<Seen> {
    let some: Vec<_> = found.take(6).collect();
    let depth = if dice.chance(60) { 1 } else { some.len() };
    (!some.is_empty()).then(|| some[dice.roll(depth)].clone())
}
