//! Cache-aside with single flight, negative entries, jittered lifetimes and versions. While Redis is
//! unavailable the loader is called, with limited concurrency.
//!
//! Redis is not trusted: every value is signed for its key, and a value without a valid signature is a miss.
//! The key contains the database's incarnation, so that after a restore or a failover no older entry is
//! found.
//!
//! A process that has written a key never reads an older value of it. [`Cache::put`] and [`Cache::forget`]
//! invalidate every load that began before them. If Redis did not take the write, the process skips Redis for
//! that key until the stale value is deleted. Other replicas do not know of the failed write: if Redis
//! returns with its memory intact, they may read the old value until its `ttl` ends.

mod entry;
mod shared;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use observability::metrics::{self, IntCounterVec};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::PgPool;
use tokio::sync::Semaphore;

use shared::{Found, RedisKey, Shared};

use crate::postgres::Incarnation;

/// Lifetime and number of negative entries. They are kept in this process, so that requests for unknown ids
/// cannot fill Redis.
const NEGATIVE_TTL: Duration = Duration::from_secs(5);
const NEGATIVE_ENTRIES: u64 = 10_000;

/// Maximum concurrent loads of one cache: half the connections of the pool.
const LOADS: usize = 8;

/// Number of epochs. Keys share them, so a write to one key may cost another key an extra load.
const EPOCHS: usize = 4096;

static REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "cache_requests_total",
        "Lookups: hit, miss, negative (known to be absent) and bypass (Redis skipped or unavailable).",
        &["cache", "result"],
    )
});

/// A value with the version of its row. An older version never replaces a newer one. Redis compares versions
/// as 53-bit integers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Versioned<V> {
    pub version: i64,
    pub value: V,
}

/// A cache of one kind of value, in Redis under `name:key`. Cheap to clone.
#[derive(Clone)]
pub struct Cache<V> {
    inner: Arc<Inner<V>>,
}

struct Inner<V> {
    name: &'static str,
    shared: Shared,
    /// Loads in flight, by key and epoch. An entry is removed when its load ends.
    flights: moka::future::Cache<(String, u64), Option<Versioned<V>>>,
    /// Keys known to be absent, by key and epoch.
    absent: moka::future::Cache<(String, u64), ()>,
    loads: Semaphore,
    epochs: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl<V: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Cache<V> {
    /// Creates a cache of values in `db` that live for `ttl` ± 20 %. Absence is remembered for at most 5 s.
    pub fn new(name: &'static str, ttl: Duration, redis: crate::redis::Redis, db: &PgPool) -> Self {
        for result in ["hit", "miss", "negative", "bypass"] {
            REQUESTS.with_label_values(&[name, result]);
        }
        // An entry outlives its load only if the caller that led it was canceled at that moment.
        let flights = moka::future::Cache::builder().time_to_live(Duration::from_millis(100));
        let absent = moka::future::Cache::builder()
            .time_to_live(NEGATIVE_TTL)
            .max_capacity(NEGATIVE_ENTRIES);
        Self {
            inner: Arc::new(Inner {
                name,
                shared: Shared::new(name, ttl, redis, Incarnation::of(db)),
                flights: flights.build(),
                absent: absent.build(),
                loads: Semaphore::new(LOADS),
                epochs: (0..EPOCHS).map(|_| AtomicU64::new(0)).collect(),
                hasher: RandomState::new(),
            }),
        }
    }

    /// Returns the cached value, or calls `load`. Concurrent misses of one key call it once.
    pub async fn get_or_load<E, F>(&self, key: &str, load: F) -> Result<Option<Versioned<V>>, E>
    where
        F: Future<Output = Result<Option<Versioned<V>>, E>> + Send,
        E: Clone + Send + Sync + 'static,
    {
        let inner = &*self.inner;
        // Taken before anything is read, so that a later write is not hidden by a load in flight.
        let flight = (key.to_owned(), inner.epoch(key).load(Ordering::Acquire));
        let redis_key = inner.shared.redis_key(key);
        // Redis first: another replica may have created the value in the meantime.
        let (result, redis_key) = match inner.ask(key, redis_key).await {
            (Found::Value(value), _) => {
                inner.count("hit");
                return Ok(Some(value));
            }
            (Found::Nothing, redis_key) => ("miss", redis_key),
            // Redis is skipped from here on, so that a lookup waits for one timeout instead of three.
            (Found::Unknown, _) => ("bypass", None),
        };
        if inner.absent.contains_key(&flight) {
            inner.count("negative");
            return Ok(None);
        }
        inner.count(result);
        // Boxed: the future is large, and most lookups do not need it.
        let load = inner.load(&flight, redis_key, load);
        let loaded = Box::pin(inner.flights.try_get_with(flight.clone(), load)).await;
        inner.flights.invalidate(&flight).await;
        loaded.map_err(|error| E::clone(&error))
    }

    /// Stores a value that was just committed. Removes a negative entry.
    pub async fn put(&self, key: &str, value: Versioned<V>) {
        self.inner.next_epoch(key);
        self.inner.shared.put(key, &value).await;
        self.inner.next_epoch(key);
    }

    /// [`Cache::put`] for all values that a transaction changed, in one round trip.
    pub async fn put_all(&self, entries: &[(String, Versioned<V>)]) {
        entries.iter().for_each(|(key, _)| self.inner.next_epoch(key));
        self.inner.shared.put_all(entries).await;
        entries.iter().for_each(|(key, _)| self.inner.next_epoch(key));
    }

    /// Removes a value that a commit has changed, so that the next reader loads it.
    pub async fn forget(&self, key: &str) {
        self.inner.next_epoch(key);
        self.inner.shared.forget(key).await;
        self.inner.next_epoch(key);
    }
}

impl<V: Clone + Serialize + DeserializeOwned> Inner<V> {
    async fn ask(&self, key: &str, redis_key: Option<RedisKey>) -> (Found<V>, Option<RedisKey>) {
        match redis_key {
            Some(redis_key) => (self.shared.get(key, &redis_key).await, Some(redis_key)),
            None => (Found::Unknown, None),
        }
    }

    /// Calls the loader, and stores the result at `redis_key`.
    async fn load<E>(
        &self,
        flight: &(String, u64),
        redis_key: Option<RedisKey>,
        load: impl Future<Output = Result<Option<Versioned<V>>, E>>,
    ) -> Result<Option<Versioned<V>>, E> {
        let (key, _) = flight;
        let _permit = self.loads.acquire().await; // the semaphore is never closed
        // The previous load may have ended just now.
        let (found, redis_key) = self.ask(key, redis_key).await;
        if let Found::Value(value) = found {
            return Ok(Some(value));
        }
        let loaded = load.await?;
        match (&loaded, redis_key) {
            (Some(value), Some(redis_key)) => self.shared.fill(&redis_key, value).await,
            (Some(_), None) => {}
            (None, _) => self.absent.insert(flight.clone(), ()).await,
        }
        Ok(loaded)
    }
}

impl<V> Inner<V> {
    fn epoch(&self, key: &str) -> &AtomicU64 {
        &self.epochs[self.hasher.hash_one(key) as usize % EPOCHS]
    }

    fn next_epoch(&self, key: &str) {
        self.epoch(key).fetch_add(1, Ordering::AcqRel);
    }

    fn count(&self, result: &str) {
        REQUESTS.with_label_values(&[self.name, result]).inc();
    }
}
