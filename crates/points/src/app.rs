//! What a caller may ask of the ledger: one file per use case.
//!
//! Each makes a [`Command`], and [`Points::run`] hands it to the `writer`.

mod adjust;
mod apart;
mod balance;
mod desk;
mod earn;
mod error;
mod fair;
mod fallback;
mod held;
mod history;
mod hold;
mod issuance;
mod ledger;
mod merchants;
mod open;
mod reconcile;
mod redeem;
mod reverse;
mod rules;
mod statement;
mod stuck;
mod transfer;
mod view;
mod writer;

pub use adjust::Adjust;
pub use balance::AccountView;
pub use earn::{Asked, Earn};
pub use error::Error;
pub use fallback::{Earned, QueuedView};
pub use history::{Entry, HistoryFilter, Page};
pub use hold::{AskedHold, PlaceHold, actor};
pub use issuance::{IssuanceView, Issuing, TenderValues, TenderView};
pub use merchants::Membership;
pub use reconcile::{Audit, audit, reconcile};
pub use redeem::Redeem;
pub use reverse::Reverse;
pub use rules::{AskedRule, NewRule, RuleFilter, RulePage, RuleView};
pub use statement::{Movements, Statement};
pub use transfer::Transfer;
pub use view::{HoldView, Receipt};

use kit::breaker::{self, Breaker};
use kit::cache::Cache;
use kit::error::Fields;
use kit::health::Health;
use kit::idempotency::{Answer, Key};
use kit::redis::Redis;
use kit::{Clock, command, jobs};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use self::balance::Balances;
use self::error::code;
use self::fallback::Queue;
use self::ledger::{Claim, Ledger, Work};
use self::writer::Writer;
use crate::config::Config;
use crate::domain::{AccountId, Amount, Command, Currency, MemberId, Reference, Refused, Rule};
use crate::metrics;

/// The ledger. Cheap to clone: each transport holds one.
#[derive(Clone)]
pub struct Points {
    db: PgPool,
    redis: Redis,
    clock: Clock,
    balances: Balances,
    rules: Cache<Vec<Rule>>,
    /// Around every command. One that is refused is an answer, and no failure.
    breaker: Breaker,
    /// What takes earnings while the database is away.
    queue: Queue,
    writer: Writer,
    issuing: Issuing,
}

/// An account, as far as the caller may see it. What is not theirs looks like what is not there.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// The account of this member.
    Of(MemberId),
    /// This account, if it is this member's.
    Owned(AccountId, MemberId),
    /// Any account.
    Any(AccountId),
}

impl Points {
    pub fn new(db: PgPool, redis: Redis, clock: Clock) -> Self {
        Self::with(db, redis, clock, Issuing::default())
    }

    /// The ledger of a deployment with this unit of account and these bounds.
    pub fn with(db: PgPool, redis: Redis, clock: Clock, issuing: Issuing) -> Self {
        let balances = Balances::new(&redis, &db);
        let rules = Cache::new("points:rules", rules::TTL, redis.clone(), &db);
        metrics::declare();
        let writer =
            Writer::start(&Ledger::new(db.clone(), clock.clone(), issuing.clone()), &balances);
        let breaker = Breaker::new("postgres", breaker::Config::default());
        let queue = Queue::new(Redis::disabled(), clock.clone());
        Self { db, redis, clock, balances, rules, breaker, queue, writer, issuing }
    }

    /// How it degrades while the database is away: when the breaker opens, and the durable Redis that
    /// takes earnings. Without it they are refused as everything else.
    pub fn degrading(self, breaker: breaker::Config, queue: Redis) -> Self {
        let queue = Queue::new(queue, self.clock.clone());
        Self { breaker: Breaker::new("postgres", breaker), queue, ..self }
    }

    /// The ledger of a service: it degrades as configured, and does until `stop` what nobody asks for.
    pub fn start(
        db: PgPool,
        redis: Redis,
        config: &Config,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let secret = &config.auth.service_client_secret;
        let queue = Redis::patient(&config.redis, "points", "fallback-queue", secret)?;
        let issuing = config.issuing()?;
        let points = Self::with(db, redis, Clock::system(), issuing);
        let points = points.degrading(config.redis.breaker(), queue);
        tokio::spawn(jobs::housekeeping(points.db.clone(), stop.clone()));
        tokio::spawn(points.clone().expire_holds(stop.clone()));
        tokio::spawn(points.clone().apply_queued(stop.clone()));
        tokio::spawn(points.clone().measure_issuance(stop.clone()));
        tokio::spawn(points.clone().audit_hourly(stop.clone()));
        Ok(points)
    }

    /// The unit of account: one point pays one minor unit of it.
    pub fn currency(&self) -> &Currency {
        &self.issuing.currency
    }

    /// The health of the service and of what it stands on.
    pub fn health(&self) -> Health {
        Health::new("points", self.db.clone(), self.redis.clone())
    }

    /// Runs a command once for each key, to its end even when the caller goes away.
    async fn run(&self, principal: String, key: Key, command: Command) -> Result<Answer, Error> {
        let kind = command.kind();
        let points = self.clone();
        let claim = Some(Claim { principal, key });
        let work = Work { claim, command };
        let answer = command::run(async move { points.post(work).await }).await;
        metrics::count(kind, &answer);
        answer
    }

    async fn post(&self, work: Work) -> Result<Answer, Error> {
        // Boxed, because each wrapper would move all of it.
        let submit = Box::pin(self.writer.submit(work));
        Ok(self.guarded(submit).await?.answer)
    }

    /// Asks the database, unless it is known to be away.
    async fn guarded<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.breaker.call(call, |result| result.as_ref().is_err_and(Error::is_outage)).await?
    }
}

/// A number of points as it was sent; `None` is not a whole number.
fn checked_amount(fields: &mut Fields, points: Option<i64>) -> Option<Amount> {
    let amount = points.ok_or(Refused::Amount).and_then(Amount::new);
    fields.check("points", "invalid_amount", amount)
}

fn checked_reference(
    fields: &mut Fields,
    reference: Result<Reference, Refused>,
) -> Option<Reference> {
    let wrong = reference.as_ref().err().map_or("", |refused| code(*refused));
    fields.check("reference", wrong, reference)
}
