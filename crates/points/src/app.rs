//! The use cases: one file each.
//!
//! A use case that moves points makes a [`Command`] for the [ledger](crate::ledger). The others run in a
//! transaction of their own.

mod adjust;
mod balance;
mod earn;
mod fallback;
mod history;
mod hold;
mod issuance;
mod merchants;
mod open;
mod reconcile;
mod redeem;
mod reverse;
mod rules;
mod statement;
mod transfer;

pub use earn::AskedEarning;
pub use fallback::Earning;
pub use hold::AskedHold;
pub use merchants::Membership;
pub use reconcile::{Audit, reconcile};
pub use rules::{AskedRule, NewRule};

use kit::Clock;
use kit::breaker::{self, Breaker};
use kit::cache::Cache;
use kit::error::Fields;
use kit::idempotency::Key;
use kit::redis::Redis;
use sqlx::PgPool;

use self::fallback::Queue;
use crate::balance_cache::BalanceCache;
use crate::domain::{Amount, Command, Currency, IssuancePolicy, Reference, Refused, Rule};
use crate::error::Error;
use crate::ledger::{Claim, Ledger, LedgerAnswer, Submission};
use crate::metrics;

/// The application. Cheap to clone: each transport has one.
#[derive(Clone)]
pub struct Points {
    db: PgPool,
    clock: Clock,
    balances: BalanceCache,
    rules: Cache<Vec<Rule>>,
    ledger: Ledger,
    /// Guards every command. A refused command is an answer, and no failure.
    breaker: Breaker,
    /// Takes earnings while the database is away.
    queue: Queue,
    policy: IssuancePolicy,
}

impl Points {
    pub fn new(db: PgPool, redis: Redis, clock: Clock) -> Self {
        Self::with_policy(db, redis, clock, IssuancePolicy::default())
    }

    pub fn with_policy(db: PgPool, redis: Redis, clock: Clock, policy: IssuancePolicy) -> Self {
        metrics::declare();
        let balances = BalanceCache::new(&redis, &db);
        let rules = Cache::new("points:rules", rules::TTL, redis, &db);
        let ledger = Ledger::start(db.clone(), clock.clone(), policy.clone(), &balances);
        let breaker = Breaker::new("postgres", breaker::Config::default());
        let queue = Queue::new(Redis::disabled(), clock.clone());
        Self { db, clock, balances, rules, ledger, breaker, queue, policy }
    }

    /// Sets the breaker in front of the database, and the durable Redis that takes earnings while the database is
    /// away. Without such a Redis, earnings are then refused like every other command.
    pub fn with_fallback(self, breaker: breaker::Config, queue: Redis) -> Self {
        let queue = Queue::new(queue, self.clock.clone());
        Self { breaker: Breaker::new("postgres", breaker), queue, ..self }
    }

    /// The unit of account: one point pays one minor unit of it.
    pub fn currency(&self) -> &Currency {
        &self.policy.currency
    }

    /// Runs a command of the ledger, once for each key.
    async fn run(
        &self,
        principal: String,
        key: Key,
        command: Command,
    ) -> Result<LedgerAnswer, Error> {
        let kind = command.kind();
        let claim = Some(Claim { principal, key });
        let answer = self.submit(Submission { claim, command }).await;
        metrics::count(kind, &answer);
        answer
    }

    async fn submit(&self, submission: Submission) -> Result<LedgerAnswer, Error> {
        // Boxed, because each wrapper would move all of it.
        let submit = Box::pin(self.ledger.submit(submission));
        Ok(self.guarded(submit).await?.answer)
    }

    /// Asks the database, unless it is known to be away.
    async fn guarded<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.breaker.call(call, |result| result.as_ref().is_err_and(Error::is_outage)).await?
    }
}

/// Checks a number of points. `None` was not a whole number.
fn checked_amount(fields: &mut Fields, points: Option<i64>) -> Option<Amount> {
    let amount = points.ok_or(Refused::Amount).and_then(Amount::new);
    fields.check("points", "invalid_amount", amount)
}

fn checked_reference(
    fields: &mut Fields,
    reference: Result<Reference, Refused>,
) -> Option<Reference> {
    let code = match reference {
        Err(Refused::ReferenceCharacter) => "invalid_character",
        _ => "invalid_reference",
    };
    fields.check("reference", code, reference)
}
