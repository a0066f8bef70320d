//! Random commands against the service and against a model of forty lines: the same verdict and code at
//! each step, and the same balances at the end.

use std::collections::HashMap;

use futures::stream::{self, StreamExt as _};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use proto::points::v1::{CaptureRequest, HoldRequest, ReleaseRequest};
use serde_json::json;
use sqlx::PgPool;
use testkit::grpc;
use uuid::Uuid;

use crate::app::{TestApp, id, key, points, uuid, wanted};

const SEQUENCES: usize = 1_000;
const AT_ONCE: usize = 64;

#[derive(Clone, Debug)]
enum Step {
    Earn(usize, i64),
    Redeem(usize, i64),
    Transfer(usize, usize, i64),
    /// The nth transfer so far.
    Reverse(usize),
    Hold(usize, usize, i64),
    Capture(usize, Option<i64>),
    Release(usize),
    /// By the service that holds: it may repeat itself, and release early.
    CaptureAgain(usize, Option<i64>),
    ReleaseEarly(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (account, hold, amount) = (0..3_usize, 0..3_usize, 1..=6_i64);
    prop_oneof![
        3 => (account.clone(), amount.clone()).prop_map(|(a, n)| Step::Earn(a, n)),
        2 => (account.clone(), amount.clone()).prop_map(|(a, n)| Step::Redeem(a, n)),
        2 => (account.clone(), account.clone(), amount.clone())
            .prop_map(|(a, b, n)| Step::Transfer(a, b, n)),
        2 => (0..8_usize).prop_map(Step::Reverse),
        2 => (hold.clone(), account, amount.clone()).prop_map(|(h, a, n)| Step::Hold(h, a, n)),
        2 => (hold.clone(), prop::option::of(amount.clone()))
            .prop_map(|(h, n)| Step::Capture(h, n)),
        2 => (hold.clone(), prop::option::of(amount)).prop_map(|(h, n)| Step::CaptureAgain(h, n)),
        1 => hold.clone().prop_map(Step::Release),
        1 => hold.prop_map(Step::ReleaseEarly),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Active,
    Captured(i64),
    Released,
    Tombstone,
}

/// The accounts and amounts of each transfer.
struct Moved {
    lines: Vec<(usize, i64)>,
    reversible: bool,
    reversed: bool,
}

#[derive(Default)]
struct Model {
    available: [i64; 3],
    holds: HashMap<usize, (State, usize, i64)>,
    transfers: Vec<Moved>,
}

impl Model {
    fn go(&mut self, lines: Vec<(usize, i64)>, reversible: bool) -> &'static str {
        if lines.iter().any(|(account, n)| self.available[*account] + n < 0) {
            return "insufficient_points";
        }
        lines.iter().for_each(|(account, n)| self.available[*account] += n);
        self.transfers.push(Moved { lines, reversible, reversed: false });
        "ok"
    }

    fn apply(&mut self, step: &Step) -> &'static str {
        match *step {
            Step::Earn(a, n) => self.go(vec![(a, n)], true),
            Step::Redeem(a, n) => self.go(vec![(a, -n)], true),
            Step::Transfer(a, b, _) if a == b => "self_transfer",
            Step::Transfer(a, b, n) => self.go(vec![(a, -n), (b, n)], true),
            Step::Reverse(k) => match self.transfers.get(k) {
                None => "not_found",
                Some(moved) if !moved.reversible => "not_reversible",
                Some(moved) if moved.reversed => "already_reversed",
                Some(moved) => {
                    let back = moved.lines.iter().map(|(account, n)| (*account, -n)).collect();
                    let verdict = self.go(back, false);
                    self.transfers[k].reversed = verdict == "ok";
                    verdict
                }
            },
            Step::Hold(h, a, n) => match self.holds.get(&h) {
                Some((State::Tombstone, ..)) => "hold_released",
                Some((state, of, held)) if (*of, *held) == (a, n) => match state {
                    State::Active | State::Captured(_) => "ok",
                    State::Released | State::Tombstone => "hold_released",
                },
                Some(_) => "hold_exists",
                None if self.available[a] < n => "insufficient_points",
                None => {
                    self.available[a] -= n;
                    self.holds.insert(h, (State::Active, a, n));
                    "ok"
                }
            },
            Step::Capture(h, n) | Step::CaptureAgain(h, n) => match self.holds.get(&h).copied() {
                None => "not_found",
                Some((State::Captured(captured), _, held))
                    if matches!(step, Step::CaptureAgain(..)) && n.unwrap_or(held) == captured =>
                {
                    "ok"
                }
                Some((State::Captured(_), ..)) => "hold_captured",
                Some((State::Released | State::Tombstone, ..)) => "hold_released",
                Some((State::Active, _, held)) if n.unwrap_or(held) > held => {
                    "capture_exceeds_hold"
                }
                Some((State::Active, a, held)) => {
                    self.available[a] += held;
                    let captured = n.unwrap_or(held);
                    self.holds.insert(h, (State::Captured(captured), a, held));
                    self.go(vec![(a, -captured)], true)
                }
            },
            Step::Release(h) | Step::ReleaseEarly(h) => match self.holds.get(&h).copied() {
                None | Some((State::Tombstone, ..)) if matches!(step, Step::Release(_)) => {
                    "not_found"
                }
                None | Some((State::Tombstone, ..)) => {
                    self.holds.insert(h, (State::Tombstone, 0, 0));
                    "ok"
                }
                Some((State::Captured(_), ..)) => "hold_captured",
                Some((State::Released, ..)) => "ok",
                Some((State::Active, a, n)) => {
                    self.available[a] += n;
                    self.holds.insert(h, (State::Released, a, n));
                    "ok"
                }
            },
        }
    }
}

/// The service, asked the same.
struct Real<'a> {
    app: &'a TestApp,
    operator: String,
    accounts: Vec<Uuid>,
    members: Vec<Uuid>,
    holds: [Uuid; 3],
    transfers: Vec<Uuid>,
}

impl<'a> Real<'a> {
    async fn new(app: &'a TestApp) -> Self {
        let (mut accounts, mut members) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let (account, _) = app.member().await;
            accounts.push(account);
            members.push(app.member_of(account).await);
        }
        let (operator, holds) = (app.operator(), [id(), id(), id()]);
        Self { app, operator, accounts, members, holds, transfers: Vec::new() }
    }

    async fn apply(&mut self, step: &Step) -> String {
        let account = |a: usize, what: &str| format!("/v1/accounts/{}/{what}", self.accounts[a]);
        let hold = |h: usize, what: &str| format!("/v1/holds/{}/{what}", self.holds[h]);
        let (path, body) = match *step {
            Step::Earn(a, n) => (account(a, "earnings"), points(n)),
            Step::Redeem(a, n) => (account(a, "redemptions"), json!({ "points": n })),
            Step::Transfer(a, b, n) => {
                (account(a, "transfers"), json!({ "to_account_id": self.accounts[b], "points": n }))
            }
            Step::Reverse(k) => {
                let transfer = self.transfers.get(k).copied().unwrap_or_default();
                (format!("/v1/transfers/{transfer}/reversal"), json!({}))
            }
            Step::Hold(h, a, n) => {
                let hold_id = self.holds[h].to_string();
                let asked = HoldRequest { hold_id, ..wanted(self.members[a], n) };
                let held = self.app.hold_by_booking(asked).await;
                return held.err().map_or("ok".to_owned(), |status| grpc::code(&status));
            }
            Step::CaptureAgain(h, n) => return self.capture_again(h, n).await,
            Step::Capture(h, Some(n)) => (hold(h, "capture"), json!({ "points": n })),
            Step::Capture(h, None) => (hold(h, "capture"), json!({})),
            Step::Release(h) => (hold(h, "release"), json!({})),
            Step::ReleaseEarly(h) => {
                let hold_id = self.holds[h].to_string();
                let message = ReleaseRequest { idempotency_key: key(), hold_id };
                let released = self.app.holds().release(self.app.by_booking(message)).await;
                return released.err().map_or("ok".to_owned(), |status| grpc::code(&status));
            }
        };
        let reply = self.app.post(&path, &self.operator, body).await;
        if !reply.status.is_success() {
            return reply.code();
        }
        if let transfer @ serde_json::Value::String(_) = &reply.json()["transfer_id"] {
            self.transfers.push(uuid(transfer));
        }
        "ok".to_owned()
    }
}

impl Real<'_> {
    async fn capture_again(&mut self, h: usize, n: Option<i64>) -> String {
        let (hold_id, points) = (self.holds[h].to_string(), n.unwrap_or_default());
        let message = CaptureRequest { idempotency_key: key(), hold_id, points };
        match self.app.holds().capture(self.app.by_booking(message)).await {
            Err(status) => grpc::code(&status),
            Ok(captured) => {
                let transfer = captured.into_inner().transfer_id.parse().unwrap();
                if !self.transfers.contains(&transfer) {
                    self.transfers.push(transfer);
                }
                "ok".to_owned()
            }
        }
    }
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_thousand_random_sequences_end_as_the_model_says(db: PgPool) {
    let app = TestApp::new(db);
    let mut runner = TestRunner::deterministic();
    let sequence = prop::collection::vec(step(), 4..12);
    let sequences: Vec<_> =
        (0..SEQUENCES).map(|_| sequence.new_tree(&mut runner).unwrap().current()).collect();

    let app = &app;
    let run = |steps: Vec<Step>| async move {
        let (mut model, mut real) = (Model::default(), Real::new(app).await);
        for (n, step) in steps.iter().enumerate() {
            let (expected, verdict) = (model.apply(step), real.apply(step).await);
            assert_eq!(verdict, expected, "step {n} of {steps:?}");
        }
        for (account, available) in real.accounts.iter().zip(model.available) {
            let (earned, used, held, _) = app.standing(*account).await;
            assert_eq!(earned - used - held, available, "{steps:?}");
        }
    };
    stream::iter(sequences).map(run).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    app.the_books_balance().await;
}
