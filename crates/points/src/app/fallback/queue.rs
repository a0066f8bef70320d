//! The queue in Redis: a stream of what to apply, and beside it what has become of each.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use kit::idempotency::{self, Answer, Key};
use kit::redis::{Redis, SIGNATURE, SigningKey, Unavailable};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::ledger::Claim;
use crate::app::{Earn, Error, Receipt};
use crate::domain::{Actor, Basis, EventId, MerchantId, Recipient, Reference};
use crate::metrics;

/// How often the queue is looked at.
pub(in crate::app) const PERIOD: Duration = Duration::from_secs(1);

/// Every key begins with it; the braces keep them on one node of a cluster.
const NAME: &str = "{fallback}";

/// Earnings that may wait: some 40 MB.
const MAX_DEPTH: &[u8] = b"100000";

/// Applied at a time.
const PAGE: &[u8] = b"64";

/// How long an outcome can be asked for: as long as its idempotency key is known.
const KEPT: &[u8] = b"259200000";

/// What is known of an earning begins with its fingerprint: the same key with another body is refused.
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

/// How many wait, and since when the first does, in milliseconds.
const MEASURE: &str = "
local queue = KEYS[1] .. ':queue'
local first = redis.call('XRANGE', queue, '-', '+', 'COUNT', 1)
return {redis.call('XLEN', queue), first[1] and first[1][1] or ''}";

#[derive(Clone)]
pub(in crate::app) struct Queue {
    redis: Redis,
    /// Signs what is queued: what comes back is applied only if it is ours.
    signing: SigningKey,
    clock: kit::Clock,
    /// The positions of entries that are not ours and were told of: the queue is read each second, and they stay.
    told: Arc<Mutex<HashSet<String>>>,
}

/// An earning as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Queued {
    pub(super) id: Uuid,
    pub(super) principal: String,
    key: String,
    route: String,
    fingerprint: String,
    to: Recipient,
    basis: Basis,
    merchant: MerchantId,
    reference: String,
    /// Looked at when it is applied: who is a merchant's cannot be known while the database is away.
    by: Actor,
    /// When it was asked for: the moment whose conversion rule applies.
    pub(super) at: DateTime<Utc>,
}

/// One of the queue.
pub(super) struct Entry {
    pub(super) position: String,
    text: String,
}

/// Why an entry is kept, and never applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotOurs {
    /// Without a signature of ours, or altered since.
    Unsigned,
    /// Signed by a version that wrote another format.
    Unreadable,
}

impl NotOurs {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Unreadable => "unreadable",
        }
    }
}

pub(super) enum Outcome {
    Applied(Answer),
    Refused(String),
}

/// As it is kept, and told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) state: String,
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
        Self { redis, signing, clock, told: Arc::default() }
    }

    /// True when it is on disk, now or since an earlier try; false when nothing was kept.
    pub(super) async fn push(&self, queued: &Queued) -> Result<bool, Error> {
        if !self.redis.is_enabled() {
            return Ok(false);
        }
        // What a crash could lose is no promise to make.
        if !self.redis.is_durable().await {
            metrics::fallback("unavailable");
            return Ok(false);
        }
        let (id, job) = (queued.id.to_string(), self.signed(serde_json::to_vec(queued)?));
        let record = Record { principal: queued.principal.clone(), state: State::queued() };
        let record = serde_json::to_vec(&record)?;
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
            Err(Unavailable) => Err(Error::NotQueued),
        }
    }

    /// The entries after this position.
    pub(super) async fn page(&self, after: &str) -> Result<Vec<Entry>, Error> {
        if !self.redis.is_enabled() {
            return Ok(Vec::new());
        }
        let arguments: [&[u8]; 2] = [after.as_bytes(), PAGE];
        let page = self.redis.eval::<Vec<String>>(PAGE_AFTER, NAME, &arguments).await;
        let page = page.map_err(|Unavailable| Error::NotQueued)?;
        let entries = page.chunks_exact(2);
        Ok(entries.map(|e| Entry { position: e[0].clone(), text: e[1].clone() }).collect())
    }

    /// An entry as it is kept: its signature in 64 hexadecimal digits, and the earning.
    fn signed(&self, job: Vec<u8>) -> Vec<u8> {
        let mut entry = hex(&self.signing.sign(&[&job])).into_bytes();
        entry.extend(job);
        entry
    }

    /// The earning of an entry that we have signed. Whoever can write into Redis cannot mint.
    pub(super) fn read(&self, entry: &Entry) -> Result<Queued, NotOurs> {
        let (signature, job) =
            entry.text.split_at_checked(2 * SIGNATURE).ok_or(NotOurs::Unsigned)?;
        let signature = unhex(signature).ok_or(NotOurs::Unsigned)?;
        if !self.signing.verify(&[job.as_bytes()], &signature) {
            return Err(NotOurs::Unsigned);
        }
        serde_json::from_str(job).map_err(|_| NotOurs::Unreadable)
    }

    /// Logs and counts an entry that is not ours, once for each process.
    pub(super) fn tell(&self, entry: &Entry, why: NotOurs) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(entry.position.clone()) {
            let (position, why) = (&entry.position, why.as_str());
            tracing::error!(position, why, "an entry of the fallback queue is not ours");
            metrics::fallback(why);
        }
    }

    /// Takes an entry off the queue and keeps its outcome. Should this fail, it is applied again, which
    /// changes nothing.
    pub(super) async fn done(
        &self,
        entry: &Entry,
        queued: &Queued,
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let state = State {
            state: outcome.name().to_owned(),
            receipt: outcome.receipt(),
            code: outcome.code(),
        };
        let record = Record { principal: queued.principal.clone(), state };
        let mut value = queued.fingerprint.clone().into_bytes();
        value.extend(serde_json::to_vec(&record)?);
        let id = queued.id.to_string();
        let arguments = [id.as_bytes(), entry.position.as_bytes(), &value, KEPT];
        let done = self.redis.eval::<i64>(DONE, NAME, &arguments).await;
        done.map(|_| ()).map_err(|Unavailable| Error::NotQueued)
    }

    /// Who asked, and what has become of it.
    pub(super) async fn find(&self, id: Uuid) -> Result<Option<(String, State)>, Error> {
        let id = id.to_string();
        let found = self.redis.eval::<String>(FIND, NAME, &[id.as_bytes()]).await;
        let found = found.map_err(|Unavailable| Error::NotQueued)?;
        // Unreadable is as good as unknown.
        let record = serde_json::from_str::<Record>(&found).ok();
        Ok(record.map(|record| (record.principal, record.state)))
    }

    /// Keeps the gauges on every replica, also while none can lead.
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
            let _ = stop.run_until_cancelled(sleep(PERIOD)).await;
        }
    }
}

impl Queued {
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
        // A copy of an entry earns nothing, however old its key is.
        let event = Some(EventId(self.id));
        Ok(Earn { to, basis, merchant, reference, by, event, at: Some(self.at) })
    }
}

impl State {
    pub(super) fn queued() -> Self {
        Self { state: "queued".to_owned(), receipt: None, code: None }
    }
}

impl Outcome {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::Refused(_) => "refused",
        }
    }

    fn receipt(&self) -> Option<Receipt> {
        match self {
            Self::Applied(answer) => serde_json::from_slice(&answer.body).ok(),
            Self::Refused(_) => None,
        }
    }

    fn code(&self) -> Option<String> {
        match self {
            Self::Applied(_) => None,
            Self::Refused(code) => Some(code.clone()),
        }
    }
}

/// The same command has the same name, so that a second try finds the first.
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
