//! The part of the cache that all replicas share: entries in Redis, and what to do when it is away.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::Versioned;
use super::entry::{self, Entry, TOMBSTONE};
use crate::redis::{MAX_VALUE, Redis};

/// Longer than any load that was on its way when a key was forgotten.
const TOMBSTONE_TTL: Duration = Duration::from_secs(5);

/// The most keys we remember that Redis holds a stale value of. With more, it is not asked about any.
const MAX_OWED: usize = 10_000;

const REPAIR_PERIOD: Duration = Duration::from_millis(250);

/// Writes unless something newer, or a tombstone, is there.
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
    /// Redis is away, or must not be believed about this key.
    Unknown,
}

#[derive(Clone)]
pub(super) struct Shared {
    name: &'static str,
    ttl: Duration,
    redis: Redis,
    owed: Arc<Mutex<Owed>>,
    repairing: Arc<AtomicBool>,
}

/// Writes that Redis did not take. It may still hold what was there before them, so it is not asked
/// about these keys until it has dropped them.
#[derive(Default)]
struct Owed {
    /// With how often it was owed, so that a debt made during the repair is not taken for repaired.
    keys: HashMap<String, u64>,
    /// Too many: do not ask it about anything until every older entry has expired.
    all_until: Option<Instant>,
}

impl Shared {
    pub(super) fn new(name: &'static str, ttl: Duration, redis: Redis) -> Self {
        Self { name, ttl, redis, owed: Arc::default(), repairing: Arc::default() }
    }

    pub(super) async fn get<V: DeserializeOwned>(&self, key: &str) -> Found<V> {
        if !self.redis.is_enabled() || self.is_owed(key) {
            return Found::Unknown;
        }
        let key = self.key(key);
        match self.redis.get(&key).await {
            Err(_) => Found::Unknown,
            Ok(None) => Found::Nothing,
            Ok(Some(bytes)) => match entry::decode(&bytes) {
                Entry::Value(value) => Found::Value(value),
                Entry::Tombstone => Found::Nothing,
                Entry::Corrupt => {
                    // Its version may look newer than anything we would write over it.
                    let _ = self.redis.del(&key).await;
                    Found::Nothing
                }
            },
        }
    }

    /// Keeps what was read. Nothing is owed when it fails: the next reader reads it again.
    pub(super) async fn fill<V: Serialize>(&self, key: &str, value: &Versioned<V>) {
        self.write(key, value).await;
    }

    /// Keeps what was written.
    pub(super) async fn put<V: Serialize>(&self, key: &str, value: &Versioned<V>) {
        if self.redis.is_enabled() && !self.write(key, value).await {
            self.owe(key);
        }
    }

    /// [`Self::put`] for many keys, in one round trip.
    pub(super) async fn put_all<V: Serialize>(&self, entries: &[(String, Versioned<V>)]) {
        let encoded = |(key, value): &(String, Versioned<V>)| {
            Some((self.key(key), self.arguments(value)?.to_vec()))
        };
        let calls: Option<Vec<_>> = entries.iter().map(encoded).collect();
        let written = match calls {
            Some(calls) => self.redis.eval_each(PUT, &calls).await.is_ok(),
            None => false,
        };
        if self.redis.is_enabled() && !written {
            entries.iter().for_each(|(key, _)| self.owe(key));
        }
    }

    pub(super) async fn forget(&self, key: &str) {
        if self.redis.is_enabled()
            && self.redis.set(&self.key(key), TOMBSTONE, TOMBSTONE_TTL).await.is_err()
        {
            self.owe(key);
        }
    }

    async fn write<V: Serialize>(&self, key: &str, value: &Versioned<V>) -> bool {
        let Some(arguments) = self.arguments(value) else { return false };
        let arguments = arguments.each_ref().map(Vec::as_slice);
        self.redis.eval::<i64>(PUT, &self.key(key), &arguments).await.is_ok()
    }

    /// What [`PUT`] takes; nothing when the value is too large to keep.
    fn arguments<V: Serialize>(&self, value: &Versioned<V>) -> Option<[Vec<u8>; 3]> {
        let (version, json) = entry::encode(value)?;
        let ttl = self.ttl.mul_f64(rand::random_range(0.8..=1.2)).as_millis().max(1).to_string();
        let fits = version.len() + 1 + json.len() <= MAX_VALUE;
        fits.then(|| [version.into_bytes(), json, ttl.into_bytes()])
    }

    fn key(&self, key: &str) -> String {
        format!("{}:{key}", self.name)
    }

    fn is_owed(&self, key: &str) -> bool {
        let owed = self.owed();
        owed.keys.contains_key(key) || owed.all_until.is_some_and(|until| Instant::now() < until)
    }

    fn owe(&self, key: &str) {
        let mut owed = self.owed();
        if owed.keys.len() < MAX_OWED || owed.keys.contains_key(key) {
            *owed.keys.entry(key.to_owned()).or_default() += 1;
        } else {
            owed.all_until = Some(Instant::now() + self.ttl.mul_f64(1.2));
        }
        drop(owed);
        if !self.repairing.swap(true, Ordering::AcqRel) {
            tokio::spawn(self.clone().repair());
        }
    }

    /// Drops what is stale in Redis as soon as it answers again.
    async fn repair(self) {
        loop {
            let debts = self.owed().keys.clone();
            for (key, debt) in debts {
                if self.redis.del(&self.key(&key)).await.is_err() {
                    break;
                }
                let mut owed = self.owed();
                if owed.keys.get(&key) == Some(&debt) {
                    owed.keys.remove(&key);
                }
            }
            if self.is_repaired() {
                return;
            }
            sleep(REPAIR_PERIOD).await;
        }
    }

    fn is_repaired(&self) -> bool {
        // Under the lock that `owe` adds under, so that no debt is left to nobody.
        let owed = self.owed();
        let repaired = owed.keys.is_empty();
        if repaired {
            self.repairing.store(false, Ordering::Release);
        }
        repaired
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
