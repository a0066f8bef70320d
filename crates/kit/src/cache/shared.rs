//! The cache entries that all replicas share: signed values in Redis.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// The most keys we remember that Redis holds a stale value of. With more, it is not asked about any.
const MAX_OWED: usize = 10_000;

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
pub(super) struct Place(String);

#[derive(Clone)]
pub(super) struct Shared {
    name: &'static str,
    ttl: Duration,
    redis: Redis,
    envelope: Envelope,
    /// Part of every key, so that no entry from before a restore is found after it.
    incarnation: Incarnation,
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
        let (owed, repairing) = Default::default();
        Self { name, ttl, redis, envelope, incarnation, owed, repairing }
    }

    /// Returns the current place of a key in Redis. `None` without Redis, or before a connection has reported
    /// the database's incarnation. A load uses one place for reading and storing.
    pub(super) fn place(&self, key: &str) -> Option<Place> {
        let incarnation = self.redis.is_enabled().then(|| self.incarnation.current())??;
        Some(Place(format!("{}:{incarnation}:{key}", self.name)))
    }

    pub(super) async fn get<V: DeserializeOwned>(&self, key: &str, place: &Place) -> Found<V> {
        if self.is_owed(key) {
            return Found::Unknown;
        }
        match self.redis.get(&place.0).await {
            Err(_) => Found::Unknown,
            Ok(None) => Found::Nothing,
            Ok(Some(bytes)) => match self.envelope.open(&self.redis.key(&place.0), &bytes) {
                Entry::Value(value) => Found::Value(value),
                Entry::Tombstone => Found::Nothing,
                Entry::Refused(reason) => {
                    REFUSED.with_label_values(&[self.name, reason]).inc();
                    // Its version may be higher than that of any value we would store.
                    let _ = self.redis.del(&place.0).await;
                    Found::Nothing
                }
            },
        }
    }

    /// Stores a value that was read. A failure needs no repair: the next reader loads it again.
    pub(super) async fn fill<V: Serialize>(&self, place: &Place, value: &Versioned<V>) {
        self.write(place, value).await;
    }

    /// Stores a value that was written.
    pub(super) async fn put<V: Serialize>(&self, key: &str, value: &Versioned<V>) {
        if let Some(place) = self.place(key)
            && !self.write(&place, value).await
        {
            self.owe(key);
        }
    }

    /// [`Self::put`] for many keys, in one round trip.
    pub(super) async fn put_all<V: Serialize>(&self, entries: &[(String, Versioned<V>)]) {
        let call = |(key, value): &(String, Versioned<V>)| {
            let place = self.place(key)?;
            let arguments = self.arguments(&place, value).map(Vec::from);
            Some(arguments.map(|arguments| (place.0, arguments)))
        };
        let Some(calls) = entries.iter().map(call).collect::<Option<Vec<_>>>() else { return };
        let written = match calls.into_iter().collect::<Option<Vec<_>>>() {
            Some(calls) => self.redis.eval_each(PUT, &calls).await.is_ok(),
            None => false,
        };
        if !written {
            entries.iter().for_each(|(key, _)| self.owe(key));
        }
    }

    pub(super) async fn forget(&self, key: &str) {
        if let Some(Place(place)) = self.place(key)
            && self.redis.set(&place, TOMBSTONE, TOMBSTONE_TTL).await.is_err()
        {
            self.owe(key);
        }
    }

    async fn write<V: Serialize>(&self, place: &Place, value: &Versioned<V>) -> bool {
        let Some(arguments) = self.arguments(place, value) else { return false };
        let arguments = arguments.each_ref().map(Vec::as_slice);
        self.redis.eval::<i64>(PUT, &place.0, &arguments).await.is_ok()
    }

    /// Returns the arguments of [`PUT`], or `None` when the value is too large to cache.
    fn arguments<V: Serialize>(&self, place: &Place, value: &Versioned<V>) -> Option<[Vec<u8>; 3]> {
        let ttl = self.ttl.mul_f64(rand::random_range(0.8..=1.2));
        let (version, rest) = self.envelope.seal(&self.redis.key(&place.0), value, ttl)?;
        let fits = version.len() + 1 + rest.len() <= MAX_VALUE;
        let ttl = ttl.as_millis().max(1).to_string();
        fits.then(|| [version.into_bytes(), rest, ttl.into_bytes()])
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
                if let Some(Place(place)) = self.place(&key)
                    && self.redis.del(&place).await.is_err()
                {
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
