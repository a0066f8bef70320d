//! One cast, from its set-up to its end: what it does, what it is answered, what it may hold against us.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::answer::{Answer, Ready};
use crate::cast::Person;
use crate::dice::Dice;
use crate::judge::Violation;
use crate::judge::keys::Keys;
use crate::judge::sessions::Sessions;
use crate::pool::Pool;
use crate::step::{At, Body, Call, Key, Meaning, Step, Token, Until, meaning};
use crate::world::World;

/// A call with what was really sent and answered.
#[derive(Clone, Debug)]
pub struct Done {
    pub at: At,
    pub who: usize,
    pub route: usize,
    pub path: Vec<String>,
    pub body: Value,
    pub key: Option<String>,
    /// The session whose token it brought, and its member.
    pub session: Option<String>,
    pub principal: Option<String>,
    /// The only service that the token is for.
    pub audience: Option<String>,
    /// The roles of whoever called, then.
    pub roles: Vec<&'static str>,
    pub answer: Answer,
    /// Nothing was broken from its beginning to its end.
    pub calm: bool,
    pub begun: Instant,
}

impl Done {
    pub fn granted(&self) -> bool {
        self.answer.granted()
    }

    /// Nobody said whether it happened.
    pub fn is_unknown(&self) -> bool {
        let code = self.answer.code();
        match self.answer.status {
            None | Some(202 | 408 | 500 | 502 | 503 | 504) => true,
            Some(409) => code == "idempotency_in_progress",
            _ => false,
        }
    }
}

pub struct Run<'w> {
    pub world: &'w World,
    /// In every name, so that a cast meets nothing of the one before.
    pub nonce: String,
    pub seed: u64,
    pub dice: Dice,
    pub cast: Vec<Person>,
    pub pool: Pool,
    pub trace: Vec<(usize, Step)>,
    pub answers: HashMap<At, Value>,
    pub keys_used: HashMap<At, String>,
    pub log: Vec<Done>,
    pub keys: Keys,
    pub sessions: Sessions,
    pub found: Vec<Violation>,
    pub is_broken: bool,
    /// The last moment at which something was broken.
    pub broken_until: Instant,
    /// What the stranger told Alertmanager.
    pub forged: Vec<String>,
    /// How many steps the set-up has: a replay does them all.
    pub set_up: usize,
    /// The step with which the story that is told began.
    pub story: usize,
    pub places: BTreeMap<&'static str, Value>,
}

impl<'w> Run<'w> {
    pub fn new(world: &'w World, seed: u64, nonce: &str) -> Self {
        Self {
            world,
            nonce: nonce.to_owned(),
            seed,
            dice: Dice::new(seed),
            cast: Person::everybody(nonce),
            pool: Pool::default(),
            trace: Vec::new(),
            answers: HashMap::new(),
            keys_used: HashMap::new(),
            log: Vec::new(),
            keys: Keys::default(),
            sessions: Sessions::default(),
            found: Vec::new(),
            is_broken: false,
            broken_until: Instant::now(),
            forged: Vec::new(),
            set_up: 0,
            story: 0,
            places: BTreeMap::new(),
        }
    }

    pub fn accuse(&mut self, kind: &'static str, what: String) {
        let is_known = |known: &String| kind == known || what.contains(known.as_str());
        let is_new = !self.found.iter().any(|known| known.what == what);
        if is_new && !self.world.excepted.iter().any(is_known) {
            self.found.push(Violation { kind, what });
        }
    }

    /// Does a new step, and says its number.
    pub async fn step(&mut self, step: Step) -> usize {
        let number = self.trace.last().map_or(0, |(last, _)| last + 1);
        self.trace.push((number, step.clone()));
        self.execute(number, &step).await;
        number
    }

    /// Does what another cast did, under the same number.
    pub async fn repeat(&mut self, number: usize, step: &Step) {
        self.trace.push((number, step.clone()));
        self.execute(number, step).await;
    }

    async fn execute(&mut self, number: usize, step: &Step) {
        match step {
            Step::Calls(calls) => {
                for (n, call) in calls.iter().enumerate() {
                    self.call(At { step: number, call: n }, call).await;
                }
                self.insist(number, calls).await;
            }
            Step::Together(calls) => {
                self.together(number, calls).await;
                self.insist(number, calls).await;
            }
            Step::Twins(calls) => {
                let [foreign, nobodys] = &**calls;
                let (one, other) = (At { step: number, call: 0 }, At { step: number, call: 1 });
                self.call(one, foreign).await;
                self.call(other, nobodys).await;
                self.compare(one, other);
            }
            Step::Wait(call, until) => self.wait(number, call, *until).await,
            Step::Mail { who, says } => self.read_mail(number, *who, says).await,
            Step::Line { who } => self.read_line(number, *who).await,
            Step::Role { who, verb, role } => self.set_role(*who, verb, role).await,
            Step::Break(fault) => {
                self.is_broken = true;
                self.world.network.inflict(&self.world.bench, *fault);
            }
            Step::Mend => self.mend().await,
            Step::Quiet => self.wait_for_quiet().await,
            Step::Forge { text } => self.forge(text).await,
        }
    }

    /// In the set-up a busy machine is asked again, with the same key, as a client should.
    async fn insist(&mut self, number: usize, calls: &[Call]) {
        let begun = Instant::now();
        if self.set_up > 0 {
            return;
        }
        for (n, call) in calls.iter().enumerate() {
            let at = At { step: number, call: n };
            while begun.elapsed() < Duration::from_secs(20)
                && self.log.iter().rev().find(|done| done.at == at).is_some_and(Done::is_unknown)
                && !self.answers.contains_key(&at)
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
                self.call(at, call).await;
            }
        }
    }

    /// The same call until it is answered as it must be.
    async fn wait(&mut self, number: usize, call: &Call, until: Until) {
        let at = At { step: number, call: 0 };
        let begun = Instant::now();
        let patience = match until {
            Until::Granted => Duration::from_secs(15),
            Until::Refused => Duration::from_secs(3),
        };
        loop {
            self.call(at, call).await;
            let last = self.log.iter().rev().find(|done| done.at == at);
            let Some(status) = last.map(|done| done.answer.status) else { return };
            let is_so = match until {
                Until::Granted => status.is_some_and(|status| status < 300),
                Until::Refused => status == Some(401),
            };
            if is_so {
                return;
            }
            if begun.elapsed() > patience {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if until == Until::Refused && !self.is_broken && self.broken_until < begun {
            let route = &self.world.api.routes[call.route];
            let what = format!(
                "{} {} takes a token {patience:?} after its session's end",
                route.service,
                route.name()
            );
            self.accuse("token_outlives", what);
        }
    }

    pub async fn mend(&mut self) {
        if !self.is_broken {
            return;
        }
        if !self.world.network.mend(&self.world.bench).await {
            self.accuse(
                "does_not_recover",
                "a service is not ready a minute after the last fault".to_owned(),
            );
        }
        self.is_broken = false;
        self.broken_until = Instant::now();
    }

    pub async fn call(&mut self, at: At, call: &Call) {
        let Some(ready) = self.prepare(at, call) else { return };
        let begun = Instant::now();
        let calm = !self.is_broken;
        let answer = ready.send(&self.world.client).await;
        self.record(at, call, ready, answer, begun, calm);
    }

    async fn together(&mut self, number: usize, calls: &[Call]) {
        let ready: Vec<_> = calls
            .iter()
            .enumerate()
            .filter_map(|(n, call)| {
                let at = At { step: number, call: n };
                Some((at, call, self.prepare(at, call)?))
            })
            .collect();
        let begun = Instant::now();
        let calm = !self.is_broken;
        let client = &self.world.client;
        let sent = ready.iter().map(|(_, _, ready)| ready.send(client));
        let answers = futures::future::join_all(sent).await;
        let mut done: Vec<_> = ready.into_iter().zip(answers).collect();
        // Of those with one key, the one that was carried out comes before its repetitions.
        done.sort_by_key(|(_, answer)| answer.replayed);
        for ((at, call, ready), answer) in done {
            self.record(at, call, ready, answer, begun, calm);
        }
    }

    /// None when it needs an answer that has not been given.
    fn prepare(&mut self, at: At, call: &Call) -> Option<Ready> {
        let route = &self.world.api.routes[call.route];
        let text = |value: Value| value.as_str().map_or(value.to_string(), str::to_owned);
        let mut path = route.path.clone();
        let mut ids = Vec::new();
        for (slot, value) in route.slots().iter().zip(&call.path) {
            let id = text(self.resolve(value)?);
            path = path.replace(&format!("{{{slot}}}"), &id);
            ids.push(id);
        }
        let mut query = Vec::new();
        for (name, value) in &call.query {
            query.push((name.clone(), text(self.resolve(value)?)));
        }
        let token = match &call.token {
            Token::None => None,
            Token::Current => self.cast[call.who].token_for(route.service),
            Token::Of(at) => Some(self.answers.get(at)?["access_token"].as_str()?.to_owned()),
            Token::Text(text) => Some(text.clone()),
        };
        let key = match &call.key {
            Key::None => None,
            Key::Fresh => Some(format!("{}-{}-{}", self.nonce, at.step, at.call)),
            Key::Of(other) => Some(self.keys_used.get(other)?.clone()),
            Key::Text(text) => Some(text.clone()),
        };
        if let Some(key) = &key {
            self.keys_used.insert(at, key.clone());
        }
        let if_match = match &call.if_match {
            Some(value) => Some(text(self.resolve(value)?)),
            None => None,
        };
        let (json, sent) = match &call.body {
            Body::None => (Value::Null, None),
            Body::Json(value) => {
                let value = self.resolve(value)?;
                let text = value.to_string();
                (value, Some(("application/json", text)))
            }
            Body::Raw { media, text } => (Value::Null, Some((*media, text.clone()))),
        };
        let url = self.world.bench.url(route.service, &path);
        let method = route.method.clone();
        Some(Ready { method, url, ids, query, token, key, if_match, json, sent })
    }

    pub fn resolve(&self, value: &Value) -> Option<Value> {
        Some(match value {
            Value::String(text) => match meaning(text) {
                Meaning::Itself => value.clone(),
                Meaning::Answer(at, pointer) => self.answers.get(&at)?.pointer(pointer)?.clone(),
                Meaning::Person(what, name) => {
                    let person = self.cast.iter().find(|person| person.name == name)?;
                    json!(match what {
                        "email" => &person.email,
                        "password" => &person.password,
                        _ => &person.next_password,
                    })
                }
            },
            Value::Array(items) => items.iter().map(|i| self.resolve(i)).collect::<Option<_>>()?,
            Value::Object(fields) => {
                let field =
                    |(name, value): (&String, &Value)| Some((name.clone(), self.resolve(value)?));
                Value::Object(fields.iter().map(field).collect::<Option<_>>()?)
            }
            other => other.clone(),
        })
    }

    fn record(
        &mut self,
        at: At,
        call: &Call,
        ready: Ready,
        answer: Answer,
        begun: Instant,
        calm: bool,
    ) {
        let session = ready.token.as_ref().and_then(|token| self.sessions.of_token(token));
        let audience = ready.token.as_ref().and_then(|token| self.sessions.audience(token));
        let principal = session.as_ref().map(|id| self.sessions.member(id));
        let done = Done {
            at,
            who: call.who,
            principal,
            audience,
            roles: self.cast[call.who].roles.clone(),
            route: call.route,
            path: ready.ids,
            body: ready.json,
            key: ready.key,
            session,
            answer,
            calm: calm && !self.is_broken,
            begun,
        };
        {
            let mut reached = self.world.reached.borrow_mut();
            let reached = reached.entry(call.route).or_default();
            reached.granted += usize::from(done.granted());
            reached.refused += usize::from(matches!(done.answer.status, Some(400..500)));
        }
        if done.granted() {
            let mut told = done.answer.body.clone();
            if let (Some(etag), Some(object)) = (&done.answer.etag, told.as_object_mut()) {
                object.insert("etag".to_owned(), json!(etag));
            }
            self.pool.take_in(at, call.who, &told);
            self.answers.insert(at, told);
        }
        self.judge_answer(call, &done);
        self.follow_sessions(&done);
        self.log.push(done);
    }
}
