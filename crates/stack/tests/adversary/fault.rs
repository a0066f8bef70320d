//! Breaks the system, and mends it.

use std::fmt;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use stack::ports::SERVICES;

use crate::bench::Bench;
use crate::dice::Dice;
use crate::link::{Link, Mode};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Kill(&'static str),
    Stop(&'static str),
    Cut(&'static str, &'static str),
    Hang(&'static str, &'static str),
    /// From everybody.
    Gone(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(part) => write!(f, "kill -9 {part}"),
            Self::Stop(part) => write!(f, "kill -STOP {part}"),
            Self::Cut(from, to) => write!(f, "cut {from} off from {to}"),
            Self::Hang(from, to) => write!(f, "let {from} wait for {to} in vain"),
            Self::Gone(part) => write!(f, "cut everybody off from {part}"),
        }
    }
}

impl Fault {
    pub fn draw(dice: &mut Dice) -> Self {
        match dice.roll(20) {
            0 => Self::Kill("booking"),
            1 => Self::Kill("points"),
            2 => Self::Kill("auth"),
            3 => Self::Kill("redis"),
            4 => Self::Kill("postgres"),
            5 => Self::Kill("incidents"),
            6 => Self::Stop("points"),
            7 => Self::Stop("booking"),
            8 => Self::Stop("auth"),
            9 => Self::Stop("redis"),
            10 => Self::Cut("booking", "auth"),
            11 => Self::Hang("booking", "points"),
            12 => Self::Hang("points", "postgres"),
            13 => Self::Gone("redis"),
            14 => Self::Cut("points", "postgres"),
            15 => Self::Cut("booking", "postgres"),
            16 => Self::Gone("postgres"),
            _ => Self::Cut("booking", "points"),
        }
    }
}

pub struct Network {
    links: Vec<Link>,
    stopped: std::sync::Mutex<Vec<stack::process::Identity>>,
}

impl Network {
    /// A link from each service to each part that it calls.
    pub async fn new(bench: &Bench) -> Self {
        let ports = &bench.ports;
        let mut links = Vec::new();
        for from in SERVICES {
            links.push(Link::new(from, "postgres", ports.postgres).await);
            links.push(Link::new(from, "redis", ports.redis).await);
            links.push(Link::new(from, "auth", ports.service("auth").grpc).await);
        }
        links.push(Link::new("booking", "points", ports.service("points").grpc).await);
        Self { links, stopped: std::sync::Mutex::default() }
    }

    /// For `STACK_VIA`.
    pub fn detours(&self) -> String {
        let one = |link: &Link| format!("{}>{}={}", link.from, link.to, link.port);
        self.links.iter().map(one).collect::<Vec<_>>().join(",")
    }

    fn set(&self, wanted: impl Fn(&Link) -> bool, mode: Mode) {
        self.links.iter().filter(|link| wanted(link)).for_each(|link| link.set(mode));
    }

    pub fn inflict(&self, bench: &Bench, fault: Fault) {
        let process = |part: &str| {
            let parts = bench.state().parts;
            parts.into_iter().find(|p| p.name == part).and_then(|part| part.process)
        };
        match fault {
            Fault::Kill(part) => {
                if let Some(process) = process(part) {
                    process.signal(Signal::SIGKILL);
                }
            }
            Fault::Stop(part) => {
                if let Some(process) = process(part) {
                    process.signal(Signal::SIGSTOP);
                    self.stopped.lock().unwrap().push(process);
                }
            }
            Fault::Cut(from, to) => self.set(|l| l.from == from && l.to == to, Mode::Cut),
            Fault::Hang(from, to) => self.set(|l| l.from == from && l.to == to, Mode::Hangs),
            Fault::Gone(part) => self.set(|l| l.to == part, Mode::Cut),
        }
    }

    /// Everything runs and is connected again, and says so; false when it does not within a minute.
    pub async fn mend(&self, bench: &Bench) -> bool {
        self.set(|_| true, Mode::Open);
        for process in self.stopped.lock().unwrap().drain(..) {
            process.signal(Signal::SIGCONT);
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            if is_well(bench).await {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }
}

async fn is_well(bench: &Bench) -> bool {
    let parts = ["postgres", "redis", "auth", "points", "booking", "incidents"];
    let alive = |part: &&str| {
        let found = bench.state().parts.into_iter().find(|p| p.name == **part);
        found.is_some_and(|p| p.process.is_some_and(|process| process.is_alive()))
    };
    if !parts.iter().all(alive) {
        return false;
    }
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().unwrap();
    for service in SERVICES {
        let answer = client.get(bench.url(service, "/ready")).send().await;
        let Ok(answer) = answer else { return false };
        let body: serde_json::Value = answer.json().await.unwrap_or_default();
        if body["status"] != "ready" {
            return false;
        }
    }
    true
}
