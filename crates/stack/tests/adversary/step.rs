//! What is done, in a form that can be done again: ids stand for the answers that they came from.

use std::fmt;

use serde_json::Value;

use crate::fault::Fault;

/// Which call of which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    pub step: usize,
    pub call: usize,
}

/// A string that begins with it stands for something else.
const MARK: char = '\u{E000}';

/// What the answer there says at this pointer.
pub fn reference(at: At, pointer: &str) -> Value {
    Value::String(format!("{MARK}ref {} {} {pointer}", at.step, at.call))
}

/// Something of a person: `email`, `password` or `next-password`.
pub fn of(person: &str, what: &str) -> Value {
    Value::String(format!("{MARK}{what} {person}"))
}

pub enum Meaning<'a> {
    Itself,
    Answer(At, &'a str),
    Person(&'a str, &'a str),
}

pub fn meaning(text: &str) -> Meaning<'_> {
    let Some(text) = text.strip_prefix(MARK) else { return Meaning::Itself };
    let words: Vec<_> = text.splitn(4, ' ').collect();
    match words[..] {
        ["ref", step, call, pointer] => {
            let at = At { step: step.parse().unwrap(), call: call.parse().unwrap() };
            Meaning::Answer(at, pointer)
        }
        [what, person] => Meaning::Person(what, person),
        _ => Meaning::Itself,
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    None,
    /// Of the latest session for the service.
    Current,
    /// That of an earlier answer, which may be over.
    Of(At),
    Text(String),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    None,
    Fresh,
    /// The one that this call had, whoever made it.
    Of(At),
    Text(String),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    None,
    Json(Value),
    Raw { media: &'static str, text: String },
}

/// A request. Every value in it may be a template.
#[derive(Clone, Debug)]
pub struct Call {
    pub who: usize,
    pub route: usize,
    pub token: Token,
    /// In the order of the path.
    pub path: Vec<Value>,
    pub query: Vec<(String, Value)>,
    pub if_match: Option<Value>,
    pub key: Key,
    pub body: Body,
    /// What the answer must be while nothing is broken.
    pub must: &'static [u16],
    /// Where the story began that says so.
    pub since: usize,
}

#[derive(Clone, Debug)]
pub enum Step {
    /// One after the other.
    Calls(Vec<Call>),
    /// All at the same time.
    Together(Vec<Call>),
    /// The same call with a foreign id and with one that nothing has: nobody may see a difference.
    Twins(Box<[Call; 2]>),
    /// Reads the newest mail that says this. The answer is its code.
    Mail {
        who: usize,
        says: &'static str,
    },
    /// Reads the newest message on LINE. The answer is its code.
    Line {
        who: usize,
    },
    /// An operator gives or takes a role on the command line.
    Role {
        who: usize,
        verb: &'static str,
        role: &'static str,
    },
    Break(Fault),
    Mend,
    /// Waits until nothing is on its way.
    Quiet,
    /// A stranger tells Alertmanager of an alert.
    Forge {
        text: String,
    },
    /// The same call, until it is answered so.
    Wait(Box<Call>, Until),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    Granted,
    /// Its token opens nothing any more.
    Refused,
}

impl Step {
    pub fn calls(&self) -> Vec<&Call> {
        match self {
            Self::Calls(calls) | Self::Together(calls) => calls.iter().collect(),
            Self::Twins(calls) => calls.iter().collect(),
            Self::Wait(call, _) => vec![call.as_ref()],
            _ => Vec::new(),
        }
    }

    /// The steps whose answers it needs.
    pub fn needs(&self, own: usize) -> Vec<usize> {
        let mut found = Vec::new();
        for call in self.calls() {
            if !call.must.is_empty() {
                found.extend(call.since..own);
            }
            let mut look = |value: &Value| references(value, &mut found);
            call.path.iter().for_each(&mut look);
            call.query.iter().for_each(|(_, value)| look(value));
            call.if_match.iter().for_each(&mut look);
            if let Body::Json(value) = &call.body {
                look(value);
            }
            if let Token::Of(at) = &call.token {
                found.push(at.step);
            }
            if let Key::Of(at) = &call.key {
                found.push(at.step);
            }
        }
        found
    }
}

fn references(value: &Value, found: &mut Vec<usize>) {
    match value {
        Value::String(text) => {
            if let Meaning::Answer(at, _) = meaning(text) {
                found.push(at.step);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(fields) => fields.values().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// A template as people read it: `<#12 booking_id>`.
pub fn readable(value: &Value) -> String {
    match value {
        Value::String(text) => match meaning(text) {
            Meaning::Answer(at, pointer) => {
                let call = if at.call == 0 { String::new() } else { format!(".{}", at.call) };
                format!("<#{}{call} {}>", at.step, pointer.trim_start_matches('/'))
            }
            Meaning::Person(what, person) => format!("<{person}'s {what}>"),
            Meaning::Itself => short(text),
        },
        Value::Array(items) => {
            format!("[{}]", items.iter().map(readable).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name}: {}", readable(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn short(text: &str) -> String {
    let shown: String = text.chars().take(60).collect();
    if shown.len() < text.len() { format!("{shown:?}…") } else { format!("{shown:?}") }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.step, self.call)
    }
}
