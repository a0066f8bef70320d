//! The cache entries that all replicas share: signed values in Redis.
//!
//! A write that Redis did not take leaves a stale value there. It is deleted in the background, because a single
//! lost write would otherwise leave the other replicas with an old conversion rule for up to 72 minutes.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use observability::metrics::{self, IntCounterVec};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::Versioned;
use super::entry::{Entry, Envelope, REASONS, TOMBSTONE};
use crate::clock::Clock;
use crate::postgres::Incarnation;
use crate::redis::{MAX_VALUE, Redis};

/// Longer than any load that was in flight when a key was forgotten.
const TOMBSTONE_TTL: Duration = Duration::from_secs(5);

/// Maximum stale keys that are remembered. With more, Redis is not asked about any key.
const MAX_STALE: usize = 10_000;

const REPAIR_PERIOD: Duration = Duration::from_millis(250);

static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "cache_refused_total",
        "Values in Redis that were refused: malformed, forged (not signed for their key by this service) or \
         expired.",
        &["cache", "reason"],
    )
});

/// Writes unless a newer version or a tombstone is present.
const PUT: &str = "
local present = redis.call('GETRANGE', KEYS[1], 0, 31)
if present == '-' then return 0 end
local version = tonumber(string.match(present, '^(%-?%d+):'))
if version and version > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'PX', ARGV[3])
return 1";

pub(super) enum Found<V> {
    Value(Versioned<V>),
    Nothing,
    /// Redis is unavailable, or may hold a stale value of this key.
    Unknown,
}

/// A key in Redis without the service's prefix.
pub(super) struct RedisKey(String);

#[derive(Clone)]
pub(super) struct Shared {
    name: &'static str,
    ttl: Duration,
    redis: Redis,
    envelope: Envelope,
    /// Part of every key, so that no entry from before a restore is found after it.
    incarnation: Incarnation,
    stale: Arc<Mutex<Stale>>,
}

/// The keys of which Redis may hold a stale value. It is not asked about them until that is deleted.
#[derive(Default)]
struct Stale {
    /// Each with the number of its lost writes, so that one during a repair is not taken for repaired.
    keys: HashMap<String, u64>,
    /// Set when there are too many: the time at which every older entry has expired.
    all_until: Option<Instant>,
    /// True while the background task runs.
    repairing: bool,
}

impl Shared {
    pub(super) fn new(
        name: &'static str,
        ttl: Duration,
        redis: Redis,
        incarnation: Incarnation,
    ) -> Self {
        for reason in REASONS {
            REFUSED.with_label_values(&[name, reason]);
        }
        let envelope = Envelope::new(redis.signing_key("cache"), Clock::system());
        Self { name, ttl, redis, envelope, incarnation, stale: Arc::default() }
    }

    /// Returns the current key in Redis. `None` without Redis, or before a connection has reported
    /// the database's incarnation. A load uses one key for reading and storing.
    pub(super) fn redis_key(&self, key: &str) -> Option<RedisKey> {
        let incarnation = self.redis.is_enabled().then(|| self.incarnation.current())??;
        Some(RedisKey(format!("{}:{incarnation}:{key}", self.name)))
    }

    pub(super) async fn get<V: DeserializeOwned>(
        &self,
        key: &str,
        redis_key: &RedisKey,
    ) -> Found<V> {
        if self.is_stale(key) {
            return Found::Unknown;
        }
        match self.redis.get(&redis_key.0).await {
            Err(_) => Found::Unknown,
            Ok(None) => Found::Nothing,
            Ok(Some(bytes)) => match self.envelope.open(&self.redis.key(&redis_key.0), &bytes) {
                Entry::Value(value) => Found::Value(value),
                Entry::Tombstone => Found::Nothing,
                Entry::Refused(reason) => {
                    REFUSED.with_label_values(&[self.name, reason]).inc();
                    // Its version may be higher than that of any value we would store.
                    let _ = self.redis.del(&redis_key.0).await;
                    Found::Nothing
                }
            },
        }
    }

    /// Stores a value that was read. A failure needs no repair: the next reader loads it again.
    pub(super) async fn fill<V: Serialize>(&self, redis_key: &RedisKey, value: &Versioned<V>) {
        self.write(redis_key, value).await;
    }

    /// Stores a value that was written.
    pub(super) async fn put<V: Serialize>(&self, key: &str, value: &Versioned<V>) {
        if let Some(redis_key) = self.redis_key(key)
            && !self.write(&redis_key, value).await
        {
            self.mark_stale(key);
        }
    }

    /// [`Self::put`] for many keys, in one round trip.
    pub(super) async fn put_all<V: Serialize>(&self, entries: &[(String, Versioned<V>)]) {
        let call = |(key, value): &(String, Versioned<V>)| {
            let redis_key = self.redis_key(key)?;
            let arguments = self.arguments(&redis_key, value).map(Vec::from);
            Some(arguments.map(|arguments| (redis_key.0, arguments)))
        };
        let Some(calls) = entries.iter().map(call).collect::<Option<Vec<_>>>() else { return };
        let written = match calls.into_iter().collect::<Option<Vec<_>>>() {
            Some(calls) => self.redis.eval_each(PUT, &calls).await.is_ok(),
            None => false,
        };
        if !written {
            entries.iter().for_each(|(key, _)| self.mark_stale(key));
        }
    }

    pub(super) async fn forget(&self, key: &str) {
        if let Some(RedisKey(redis_key)) = self.redis_key(key)
            && self.redis.set(&redis_key, TOMBSTONE, TOMBSTONE_TTL).await.is_err()
        {
            self.mark_stale(key);
        }
    }

    async fn write<V: Serialize>(&self, redis_key: &RedisKey, value: &Versioned<V>) -> bool {
        let Some(arguments) = self.arguments(redis_key, value) else { return false };
        let arguments = arguments.each_ref().map(Vec::as_slice);
        self.redis.eval::<i64>(PUT, &redis_key.0, &arguments).await.is_ok()
    }

    /// Returns the arguments of [`PUT`], or `None` when the value is too large to cache.
    fn arguments<V: Serialize>(
        &self,
        redis_key: &RedisKey,
        value: &Versioned<V>,
    ) -> Option<[Vec<u8>; 3]> {
        let ttl = self.ttl.mul_f64(rand::random_range(0.8..=1.2));
        let (version, rest) = self.envelope.seal(&self.redis.key(&redis_key.0), value, ttl)?;
        let fits = version.len() + 1 + rest.len() <= MAX_VALUE;
        let ttl = ttl.as_millis().max(1).to_string();
        fits.then(|| [version.into_bytes(), rest, ttl.into_bytes()])
    }

    fn is_stale(&self, key: &str) -> bool {
        let stale = self.stale();
        stale.keys.contains_key(key) || stale.all_until.is_some_and(|until| Instant::now() < until)
    }

    fn mark_stale(&self, key: &str) {
        let mut stale = self.stale();
        if stale.keys.len() < MAX_STALE || stale.keys.contains_key(key) {
            *stale.keys.entry(key.to_owned()).or_default() += 1;
        } else {
            stale.all_until = Some(Instant::now() + self.ttl.mul_f64(1.2));
        }
        if !std::mem::replace(&mut stale.repairing, true) {
            tokio::spawn(self.clone().repair());
        }
    }

    /// Deletes stale values as soon as Redis answers again.
    async fn repair(self) {
        while let Some(keys) = self.stale_keys() {
            for (key, lost) in keys {
                if let Some(RedisKey(redis_key)) = self.redis_key(&key)
                    && self.redis.del(&redis_key).await.is_err()
                {
                    break;
                }
                let mut stale = self.stale();
                if stale.keys.get(&key) == Some(&lost) {
                    stale.keys.remove(&key);
                }
            }
            sleep(REPAIR_PERIOD).await;
        }
    }

    /// Returns the stale keys, or ends the repair when there are none.
    fn stale_keys(&self) -> Option<HashMap<String, u64>> {
        let mut stale = self.stale();
        stale.repairing = !stale.keys.is_empty();
        stale.repairing.then(|| stale.keys.clone())
    }

    fn stale(&self) -> MutexGuard<'_, Stale> {
        self.stale.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
