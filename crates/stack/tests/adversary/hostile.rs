//! What clients send that mean no good, or that are broken.

use serde_json::{Value, json};

use crate::run::Run;
use crate::step::{Body, Call, Key, Token};

impl Run<'_> {
    /// One value at the edge of what is allowed, or just behind it.
    pub fn make_borderline(&mut self, call: &mut Call) {
        let edges = [
            json!(0),
            json!(-1),
            json!(1),
            json!(1_000_000_000),
            json!(1_000_000_001_i64),
            json!(i64::MAX),
            json!(9_007_199_254_740_991_i64),
            json!(1.5),
            json!(""),
            json!("x".repeat(200)),
            json!("x".repeat(2000)),
            json!("日本語 é 🎉"),
            json!("0000-01-01T00:00:00Z"),
            json!("9999-12-31T23:59:59Z"),
            json!("1970-01-01T00:00:00+14:00"),
        ];
        let edge = self.dice.pick(&edges).clone();
        let fields = match &call.body {
            Body::Json(Value::Object(fields)) => fields.len(),
            _ => 0,
        };
        match self.dice.roll(fields + call.query.len() + 1) {
            n if n < fields => {
                if let Body::Json(Value::Object(object)) = &mut call.body
                    && let Some(value) = object.values_mut().nth(n)
                {
                    // Of the same type, mostly: the others are refused by their type alone.
                    if edge.is_number() == value.is_number() || self.dice.chance(30) {
                        *value = edge;
                    }
                }
            }
            n if n < fields + call.query.len() => {
                call.query[n - fields].1 =
                    json!(edge.as_str().map_or(edge.to_string(), str::to_owned));
            }
            _ => {
                if let Some(etag) = &mut call.if_match {
                    *etag = self
                        .dice
                        .pick(&[json!("*"), json!("\"0\""), json!("1"), json!("")])
                        .clone();
                }
            }
        }
    }

    /// Something that no client of ours sends.
    pub fn make_hostile(&mut self, call: &mut Call) {
        match self.dice.roll(12) {
            0 => call.token = Token::None,
            1 => call.token = Token::Text(self.forged_token()),
            2 => call.key = Key::None,
            3 => call.key = Key::Text("k".repeat(300)),
            4 | 5 => self.spoil_path(call),
            6 => self.forge_cursor(call),
            7 => self.spoil_text(call),
            _ => self.spoil_body(call),
        }
    }

    fn forged_token(&mut self) -> String {
        let header = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0";
        let claims = "eyJzdWIiOiIwMWEyMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDAifQ";
        self.dice
            .pick(&[format!("{header}.{claims}."), "null".to_owned(), self.nonce.clone()])
            .clone()
    }

    fn spoil_path(&mut self, call: &mut Call) {
        let strange = ["me", "..%2f..%2fadmin", "%00", "0", "' OR 1=1 --", "%F0%9F%8E%89"];
        let nil = "00000000-0000-0000-0000-000000000000";
        if !call.path.is_empty() {
            let slot = self.dice.roll(call.path.len());
            let text = if self.dice.chance(30) { nil } else { *self.dice.pick(&strange) };
            call.path[slot] = json!(text);
        }
    }

    /// A cursor of the right form with values that no page has.
    fn forge_cursor(&mut self, call: &mut Call) {
        let id = self.dice.uuid();
        let forged = [
            json!(["-100000-01-01T00:00:00Z", id]),
            json!(["+262142-12-31T23:59:59Z", id]),
            json!([i64::MAX, id]),
            json!([i64::MIN, id]),
            json!([null, null]),
            json!(id),
            json!({}),
        ];
        let text = base64_url(self.dice.pick(&forged).to_string().as_bytes());
        call.query.retain(|(name, _)| name != "cursor");
        call.query.push(("cursor".to_owned(), json!(text)));
    }

    fn spoil_text(&mut self, call: &mut Call) {
        let texts = [
            "a\u{0}b",
            "'; DROP TABLE booking; --",
            "<script>alert(1)</script>",
            "\u{202e}x",
            "{{7*7}}",
        ];
        let text = *self.dice.pick(&texts);
        if let Body::Json(Value::Object(fields)) = &mut call.body {
            let mut texts: Vec<_> = fields.values_mut().filter(|value| value.is_string()).collect();
            let n = self.dice.roll(texts.len());
            if let Some(field) = texts.get_mut(n) {
                **field = json!(text);
            }
        }
    }

    fn spoil_body(&mut self, call: &mut Call) {
        let json_media = "application/json";
        let raw = |media, text: &str| Body::Raw { media, text: text.to_owned() };
        let Body::Json(body) = &mut call.body else { return };
        match self.dice.roll(9) {
            0 => call.body = raw(json_media, "{"),
            1 => call.body = raw(json_media, r#"{"points": 1, "points": 2}"#),
            2 => call.body = raw(json_media, &"[".repeat(5000)),
            3 => call.body = raw("text/plain", "{}"),
            4 => call.body = raw(json_media, ""),
            5 => *body = json!([]),
            6 => body["is_operator"] = json!(true),
            n => {
                let Value::Object(fields) = body else { return };
                let names: Vec<_> = fields.keys().cloned().collect();
                if names.is_empty() {
                    return;
                }
                let name = self.dice.pick(&names);
                if n == 7 {
                    fields.remove(name);
                } else {
                    let wrong = [json!(null), json!({}), json!([1]), json!("1"), json!(true)];
                    fields[name] = self.dice.pick(&wrong).clone();
                }
            }
        }
    }
}

fn base64_url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for n in 0..=three.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * n) & 63) as usize]));
        }
    }
    text
}
