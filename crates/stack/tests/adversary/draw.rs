//! Makes calls from what a service's document says: valid ones, borderline ones and hostile ones.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use crate::api::{Place, Route};
use crate::run::Run;
use crate::step::{Body, Call, Key, Token, of};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Valid,
    Edge,
    Hostile,
}

/// What a story wants in the fields of these names, or kinds of ids.
pub type Hints<'a> = &'a [(&'a str, Value)];

/// For whom a value is made.
struct For<'a> {
    who: usize,
    route: &'a Route,
    hints: Hints<'a>,
    start: DateTime<Utc>,
}

impl Run<'_> {
    /// A call of this route by this person.
    pub fn draw(&mut self, who: usize, route: usize, style: Style, hints: Hints<'_>) -> Call {
        let world = self.world;
        let route_of = &world.api.routes[route];
        let days = self.dice.range(2, 40);
        let today = DateTime::<Utc>::from(std::time::SystemTime::now()).date_naive();
        let midnight = today.and_time(chrono::NaiveTime::MIN).and_utc();
        let start = midnight + TimeDelta::days(days) + TimeDelta::hours(self.dice.range(0, 23));
        let target = For { who, route: route_of, hints, start };
        let mut path = Vec::new();
        for slot in route_of.slots() {
            path.push(self.slot(&target, &slot));
        }
        let (mut query, mut if_match, mut key) = (Vec::new(), None, Key::None);
        for param in &route_of.params {
            match (param.place, param.name.as_str()) {
                (Place::Header, "If-Match") => if_match = Some(self.etag(&target)),
                (Place::Header, "Idempotency-Key") => key = Key::Fresh,
                (Place::Query, name) if param.required || self.dice.chance(25) => {
                    let value = self.value(&target, name, &param.schema, 0);
                    if value != Value::Null {
                        query.push((name.to_owned(), value));
                    }
                }
                _ => {}
            }
        }
        let body = match &route_of.body {
            Some(schema) => Body::Json(self.value(&target, "", schema, 0)),
            None => Body::None,
        };
        let token = if route_of.is_open { Token::None } else { Token::Current };
        let since = self.story;
        let mut call =
            Call { who, route, token, path, query, if_match, key, body, must: &[], since };
        match style {
            Style::Valid => {}
            Style::Edge => self.make_borderline(&mut call),
            Style::Hostile => self.make_hostile(&mut call),
        }
        call
    }

    fn slot(&mut self, target: &For<'_>, slot: &str) -> Value {
        let kind = target.route.kind_of(slot);
        let hint = target.hints.iter().find(|(name, _)| *name == kind);
        hint.map_or_else(|| self.id(target.who, &kind), |(_, value)| value.clone())
    }

    /// An id of this kind: mostly one's own, often somebody else's, now and then of another kind.
    pub fn id(&mut self, who: usize, kind: &str) -> Value {
        let (dice, pool) = (&mut self.dice, &self.pool);
        let found = match dice.roll(100) {
            0..60 => pool.own(dice, kind, who).or_else(|| pool.any(dice, kind, who)),
            60..80 => pool.any(dice, kind, who),
            80..93 => pool.recent(dice),
            _ => None,
        };
        found.map_or_else(|| json!(self.dice.uuid()), |seen| seen.template())
    }

    fn etag(&mut self, target: &For<'_>) -> Value {
        if let Some((_, value)) = target.hints.iter().find(|(name, _)| *name == "If-Match") {
            return value.clone();
        }
        match self.pool.own(&mut self.dice, "etag", target.who) {
            Some(seen) if self.dice.chance(50) => seen.template(),
            _ => json!("\"1\""),
        }
    }

    fn value(&mut self, target: &For<'_>, name: &str, schema: &Value, depth: usize) -> Value {
        if let Some((_, value)) = target.hints.iter().find(|(hint, _)| *hint == name) {
            return value.clone();
        }
        let world = self.world;
        let schema = world.api.resolve(target.route.service, schema);
        if let Some(value) = self.known(target, name, schema) {
            return value;
        }
        for one in ["oneOf", "anyOf"] {
            if let Some(part) = schema[one].as_array().and_then(|parts| parts.first()) {
                return self.value(target, name, part, depth);
            }
        }
        if let Some(values) = schema["enum"].as_array() {
            return self.dice.pick(values).clone();
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
        match kind.unwrap_or("object") {
            "string" => self.text(target, name, schema),
            "integer" | "number" => {
                let low = schema["minimum"].as_i64().unwrap_or(1).max(1);
                let high = schema["maximum"].as_i64().unwrap_or(1000).clamp(low, low + 1000);
                json!(self.dice.range(low, high))
            }
            "boolean" => json!(self.dice.chance(50)),
            "array" => {
                let name = name.strip_suffix('s').unwrap_or(name);
                json!([self.value(target, name, &schema["items"], depth + 1)])
            }
            _ => self.object(target, schema, depth),
        }
    }

    fn object(&mut self, target: &For<'_>, schema: &Value, depth: usize) -> Value {
        let world = self.world;
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
        let mut made = Map::new();
        for (name, schema) in world.api.properties(target.route.service, schema) {
            let hinted = target.hints.iter().any(|(hint, _)| *hint == name);
            let must = required.iter().any(|r| *r == name);
            if must || hinted || (depth < 3 && self.dice.chance(35)) {
                let value = self.value(target, name, schema, depth + 1);
                if must || value != Value::Null {
                    made.insert(name.to_owned(), value);
                }
            }
        }
        // One amount or the other.
        if made.contains_key("purchase_minor") && made.contains_key("points") {
            let keep = if self.dice.chance(50) { "points" } else { "purchase_minor" };
            if !target.hints.iter().any(|(hint, _)| *hint == keep) {
                made.remove(keep);
            } else {
                made.remove(if keep == "points" { "purchase_minor" } else { "points" });
            }
        } else if made.contains_key("merchant_id")
            && target.route.path.ends_with("/earnings")
            && !made.contains_key("purchase_minor")
        {
            made.entry("points").or_insert_with(|| json!(50));
        }
        Value::Object(made)
    }

    /// What a field of this name must hold, beyond what its schema says.
    fn known(&mut self, target: &For<'_>, name: &str, schema: &Value) -> Option<Value> {
        let me = self.cast[target.who].name;
        let is_rule = target.route.path.contains("conversion-rules");
        let day = |day: usize| json!({"weekday": day, "opens": "00:00", "closes": "24:00"});
        let time = |at: DateTime<Utc>| {
            let wall = at.format("%Y-%m-%dT%H:%M").to_string();
            if schema["format"] == "date-time" { json!(format!("{wall}:00Z")) } else { json!(wall) }
        };
        Some(match name {
            "email" => {
                let anybody = self.dice.roll(self.cast.len());
                let person = if self.dice.chance(80) { target.who } else { anybody };
                of(self.cast[person].name, "email")
            }
            "password" | "current_password" => of(me, "password"),
            "new_password" => of(me, "next-password"),
            "time_zone" => json!(self.dice.pick(&["UTC", "Asia/Tokyo"])),
            "currency" => json!(self.dice.pick(&["JPY", "JPY", "JPY", "USD", "IDR"])),
            "starts_at" => time(target.start),
            "ends_at" => time(target.start + TimeDelta::hours(1)),
            "hours" => json!((1..=7).map(day).collect::<Vec<_>>()),
            "opens" => json!("00:00"),
            "closes" => json!("24:00"),
            "weekday" => json!(self.dice.range(1, 7)),
            "line_user_id" => json!(format!("U{}", self.dice.hex(32))),
            "channel_token" => json!("channel-token-of-a-shop"),
            "duration_minutes" => json!(60),
            "buffer_minutes" | "cancellation_notice_minutes" => json!(0),
            "price_minor" => json!(self.dice.range(500, 5000)),
            "purchase_minor" => json!(self.dice.range(1000, 60_000)),
            "points" if is_rule => json!(self.dice.range(1, 5)),
            "points" => json!(self.dice.range(1, 900)),
            "per_minor" => json!(100),
            "min_purchase_minor" => json!(1),
            "expires_in_seconds" => json!(self.dice.range(1, 900)),
            "limit" => json!(self.dice.range(1, 20)),
            "days" => json!(30),
            "service" => json!("points"),
            "kind" => json!("earn"),
            "item" | "refresh_token" | "code" => {
                let own = self.pool.own(&mut self.dice, name, target.who)?;
                own.template()
            }
            "cursor" => match self.pool.any(&mut self.dice, "next_cursor", target.who) {
                Some(seen) => seen.template(),
                None => json!("WzFd"),
            },
            _ => return None,
        })
    }

    fn text(&mut self, target: &For<'_>, name: &str, schema: &Value) -> Value {
        match schema["format"].as_str() {
            Some("uuid") => self.id(target.who, name),
            Some("date-time") => {
                let at =
                    if name == "from" { target.start - TimeDelta::days(60) } else { target.start };
                json!(at.format("%Y-%m-%dT%H:%M:%SZ").to_string())
            }
            Some("date") => {
                let at =
                    if name == "to" { target.start + TimeDelta::days(3) } else { target.start };
                json!(at.format("%Y-%m-%d").to_string())
            }
            _ => {
                let longest = schema["maxLength"].as_u64().map_or(24, |n| n.min(24));
                let text = format!("{} {}", name.replace('_', " "), self.dice.hex(12));
                json!(text.chars().take(longest as usize).collect::<String>())
            }
        }
    }
}
