//! The queue in Redis: a stream of earnings to apply, and beside it the state of each.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use kit::idempotency::{self, Key};
use kit::redis::{Redis, SIGNATURE, SigningKey, Unavailable};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::command::Earn;
use crate::domain::{AccountRef, Actor, Basis, EventId, MerchantId, Reference};
use crate::error::Error;
use crate::ledger::Claim;
use crate::metrics;
use crate::view::{QueuedState, Receipt};

/// The time between two measurements of the queue.
const MEASURED_EVERY: Duration = Duration::from_secs(1);

/// The beginning of every key. The braces keep them on one node of a cluster.
const NAME: &str = "{fallback}";

/// The most earnings that may wait: some 40 MB.
const MAX_DEPTH: &[u8] = b"100000";

/// The earnings that are applied at a time.
const PAGE: &[u8] = b"64";

/// The time that an outcome is kept, in milliseconds: as long as its idempotency key.
const KEPT: &[u8] = b"259200000";

/// Adds an earning. Its record begins with its fingerprint, so that the same key with another body is refused.
const PUSH: &str = "
local job = KEYS[1] .. ':job:' .. ARGV[1]
local known = redis.call('GETRANGE', job, 0, 63)
if known ~= '' then return known == ARGV[2] and 1 or -1 end
local queue = KEYS[1] .. ':queue'
if redis.call('XLEN', queue) >= tonumber(ARGV[5]) then return 0 end
redis.call('SET', job, ARGV[2] .. ARGV[3])
redis.call('XADD', queue, '*', 'job', ARGV[4])
return 1";

const PAGE_AFTER: &str = "
local found = {}
for i, entry in ipairs(redis.call('XRANGE', KEYS[1] .. ':queue', ARGV[1], '+', 'COUNT', ARGV[2])) do
    found[2 * i - 1] = entry[1]
    found[2 * i] = entry[2][2]
end
return found";

const DONE: &str = "
redis.call('SET', KEYS[1] .. ':job:' .. ARGV[1], ARGV[3], 'PX', ARGV[4])
return redis.call('XDEL', KEYS[1] .. ':queue', ARGV[2])";

const FIND: &str = "return redis.call('GETRANGE', KEYS[1] .. ':job:' .. ARGV[1], 64, -1)";

/// The number of earnings that wait, and the time of the first in milliseconds.
const MEASURE: &str = "
local queue = KEYS[1] .. ':queue'
local first = redis.call('XRANGE', queue, '-', '+', 'COUNT', 1)
return {redis.call('XLEN', queue), first[1] and first[1][1] or ''}";

#[derive(Clone)]
pub(in crate::app) struct Queue {
    redis: Redis,
    /// Signs the entries. An entry is applied only with a valid signature.
    signing: SigningKey,
    clock: kit::Clock,
    /// The positions of invalid entries that were reported. They stay in the queue, which is read every second.
    reported: Arc<Mutex<HashSet<String>>>,
}

/// An earning as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct QueuedEarning {
    pub(super) id: Uuid,
    pub(super) principal: String,
    key: String,
    route: String,
    fingerprint: String,
    to: AccountRef,
    basis: Basis,
    merchant: MerchantId,
    reference: String,
    /// Checked when the earning is applied: memberships cannot be read while the database is away.
    by: Actor,
    /// The time of the request, whose conversion rule applies.
    pub(super) at: DateTime<Utc>,
}

pub(super) struct QueueEntry {
    pub(super) position: String,
    text: String,
}

/// The reason why an entry is kept and never applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    /// The signature is missing or wrong.
    Unsigned,
    /// The entry has another version's format.
    Unreadable,
}

impl Invalid {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Unreadable => "unreadable",
        }
    }
}

pub(super) enum Outcome {
    /// `None` when a newer release recorded a receipt that this one cannot read.
    Applied(Option<Receipt>),
    /// The error code.
    Refused(String),
}

/// The state of an earning, as it is stored and shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) state: QueuedState,
    pub(super) receipt: Option<Receipt>,
    pub(super) code: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    principal: String,
    #[serde(flatten)]
    state: State,
}

impl Queue {
    pub(in crate::app) fn new(redis: Redis, clock: kit::Clock) -> Self {
        let signing = redis.signing_key("fallback-queue");
        Self { redis, signing, clock, reported: Arc::default() }
    }

    /// Adds an earning. Returns true when it is on disk, now or since an earlier try, and false when it was not
    /// taken.
    pub(super) async fn push(&self, queued: &QueuedEarning) -> Result<bool, Error> {
        if !self.redis.is_enabled() {
            return Ok(false);
        }
        // A Redis that could lose it in a crash gets nothing.
        if !self.redis.is_durable().await {
            metrics::fallback("unavailable");
            return Ok(false);
        }
        let (id, job) = (queued.id.to_string(), self.signed(json(queued)));
        let record = Record { principal: queued.principal.clone(), state: State::queued() };
        let record = json(&record);
        let arguments = [id.as_bytes(), queued.fingerprint.as_bytes(), &record, &job, MAX_DEPTH];
        let pushed = self.redis.eval::<i64>(PUSH, NAME, &arguments).await;
        metrics::fallback(match pushed {
            Ok(1) => "queued",
            Ok(-1) => "reused",
            Ok(_) => "full",
            Err(Unavailable) => "unavailable",
        });
        match pushed {
            Ok(1) => Ok(true),
            Ok(-1) => Err(idempotency::Error::Reused.into()),
            Ok(_) => Ok(false),
            Err(Unavailable) => Err(Error::QueueUnavailable),
        }
    }

    /// The entries after this position.
    pub(super) async fn page(&self, after: &str) -> Result<Vec<QueueEntry>, Error> {
        if !self.redis.is_enabled() {
            return Ok(Vec::new());
        }
        let arguments: [&[u8]; 2] = [after.as_bytes(), PAGE];
        let page = self.redis.eval::<Vec<String>>(PAGE_AFTER, NAME, &arguments).await;
        let page = page.map_err(|Unavailable| Error::QueueUnavailable)?;
        let entries = page.chunks_exact(2);
        Ok(entries.map(|e| QueueEntry { position: e[0].clone(), text: e[1].clone() }).collect())
    }

    /// An entry as it is stored: the signature in 64 hexadecimal digits, then the earning.
    fn signed(&self, job: Vec<u8>) -> Vec<u8> {
        let mut entry = hex(&self.signing.sign(&[&job])).into_bytes();
        entry.extend(job);
        entry
    }

    /// The earning of an entry with a valid signature. To write into Redis does not suffice to make points.
    pub(super) fn read(&self, entry: &QueueEntry) -> Result<QueuedEarning, Invalid> {
        let (signature, job) =
            entry.text.split_at_checked(2 * SIGNATURE).ok_or(Invalid::Unsigned)?;
        let signature = unhex(signature).ok_or(Invalid::Unsigned)?;
        if !self.signing.verify(&[job.as_bytes()], &signature) {
            return Err(Invalid::Unsigned);
        }
        serde_json::from_str(job).map_err(|_| Invalid::Unreadable)
    }

    /// Logs and counts an invalid entry, once for each process.
    pub(super) fn report(&self, entry: &QueueEntry, reason: Invalid) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.insert(entry.position.clone()) {
            let (position, why) = (&entry.position, reason.as_str());
            tracing::error!(position, why, "the fallback queue has an invalid entry");
            metrics::fallback(why);
        }
    }

    /// Removes an entry from the queue and keeps its outcome. If this fails, the earning is applied again, which
    /// changes nothing.
    pub(super) async fn done(
        &self,
        entry: &QueueEntry,
        queued: &QueuedEarning,
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let record = Record { principal: queued.principal.clone(), state: outcome.into() };
        let mut value = queued.fingerprint.clone().into_bytes();
        value.extend(json(&record));
        let id = queued.id.to_string();
        let arguments = [id.as_bytes(), entry.position.as_bytes(), &value, KEPT];
        let done = self.redis.eval::<i64>(DONE, NAME, &arguments).await;
        done.map(|_| ()).map_err(|Unavailable| Error::QueueUnavailable)
    }

    /// The principal and the state of an earning.
    pub(super) async fn find(&self, id: Uuid) -> Result<Option<(String, State)>, Error> {
        let id = id.to_string();
        let found = self.redis.eval::<String>(FIND, NAME, &[id.as_bytes()]).await;
        let found = found.map_err(|Unavailable| Error::QueueUnavailable)?;
        // An unreadable record counts as unknown.
        let record = serde_json::from_str::<Record>(&found).ok();
        Ok(record.map(|record| (record.principal, record.state)))
    }

    /// Keeps the gauges up to date, until `stop`.
    pub(super) async fn measure(&self, stop: CancellationToken) {
        while self.redis.is_enabled() && !stop.is_cancelled() {
            let measured = self.redis.eval::<(i64, String)>(MEASURE, NAME, &[]).await;
            if let Ok((depth, first)) = measured {
                let since = first.split('-').next().and_then(|ms| ms.parse::<i64>().ok());
                let now = self.clock.now().timestamp_millis();
                metrics::fallback_queue(
                    depth,
                    since.map_or(0, |since| (now - since).max(0) / 1_000),
                );
            }
            let _ = stop.run_until_cancelled(sleep(MEASURED_EVERY)).await;
        }
    }
}

impl QueuedEarning {
    pub(super) fn new(claim: Claim, earn: Earn, at: DateTime<Utc>) -> Self {
        let Claim { principal, key } = claim;
        let Earn { to, basis, merchant, reference, by, .. } = earn;
        let reference = reference.as_str().to_owned();
        let fingerprint = hex(&key.fingerprint);
        let (id, key, route) = (id(&principal, &key), key.value, key.route);
        Self { id, principal, key, route, fingerprint, to, basis, merchant, reference, by, at }
    }

    pub(super) fn key(&self) -> Key {
        let fingerprint = unhex(&self.fingerprint);
        let fingerprint = fingerprint.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
        Key { value: self.key.clone(), route: self.route.clone(), fingerprint }
    }

    pub(super) fn earn(&self) -> Result<Earn, Error> {
        let reference = Reference::new(self.reference.clone())?;
        let (to, basis, merchant) = (self.to, self.basis.clone(), self.merchant);
        let by = self.by.clone();
        // A copy of the entry earns nothing, however old its key is.
        let event = Some(EventId(self.id));
        Ok(Earn { to, basis, rate: None, merchant, reference, event, by })
    }
}

impl State {
    pub(super) fn queued() -> Self {
        Self { state: QueuedState::Queued, receipt: None, code: None }
    }
}

impl Outcome {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::Refused(_) => "refused",
        }
    }
}

impl From<&Outcome> for State {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Applied(receipt) => {
                Self { state: QueuedState::Applied, receipt: receipt.clone(), code: None }
            }
            Outcome::Refused(code) => {
                Self { state: QueuedState::Refused, receipt: None, code: Some(code.clone()) }
            }
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a queued earning is plain data")
}

/// The id of an earning. A repeated command has the same id, so that it finds the first.
fn id(principal: &str, key: &Key) -> Uuid {
    let name = serde_json::to_vec(&(principal, &key.route, &key.value)).unwrap_or_default();
    let hash = Key::new("-", "queued", &name).map(|key| key.fingerprint).unwrap_or_default();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()).collect()
}
