//! Cache-aside with single flight, typed negative entries, jitter and versions. When Redis is away
//! the loader is asked, behind a limit.
//!
//! Redis is a stranger: every value is signed for its key, and whatever is not is a miss. The key names the
//! incarnation of the database that the value was read from, so that nothing is found after a restore or a
//! failover that was read before.
//!
//! A process that has written a key does not read an older value of it: [`Cache::put`] and [`Cache::forget`]
//! end every load that began before them, and a write that Redis did not take keeps that process from asking
//! Redis about the key until the stale value is gone. Other replicas, and this one after a restart, do not know
//! of such a write: if Redis comes back with its memory, they may read the old value until its `ttl` is over.

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

use shared::{Found, Place, Shared};

use crate::postgres::Incarnation;

/// How long absence is believed, and of how many keys. It stays in this process, so that a million
/// made-up ids cannot fill Redis.
const NEGATIVE_TTL: Duration = Duration::from_secs(5);
const NEGATIVE_ENTRIES: u64 = 10_000;

/// How many loads of one cache may run at once: half the connections of the pool.
const LOADS: usize = 8;

/// Keys share epochs, so that their number is bounded. A neighbor's write costs a key one more load.
const EPOCHS: usize = 4096;

static REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "cache_requests_total",
        "Lookups: hit, miss, negative (known to be absent) and bypass (Redis not asked or away).",
        &["cache", "result"],
    )
});

/// A value with the version of its row: an older one never replaces a newer one. Versions are compared
/// in Redis as 53-bit integers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Versioned<V> {
    pub version: i64,
    pub value: V,
}

/// A cache of one kind of thing, in Redis under `name:key`. Cheap to clone.
#[derive(Clone)]
pub struct Cache<V> {
    inner: Arc<Inner<V>>,
}

struct Inner<V> {
    name: &'static str,
    shared: Shared,
    /// Loads on their way, by key and epoch; an entry goes as soon as its load is over.
    flights: moka::future::Cache<(String, u64), Option<Versioned<V>>>,
    /// Keys known to be absent, by key and epoch.
    absent: moka::future::Cache<(String, u64), ()>,
    loads: Semaphore,
    epochs: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl<V: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Cache<V> {
    /// A cache of what is in `db`, whose values live for `ttl`, jittered by ±20 %; absence is remembered for at
    /// most 5 s.
    pub fn new(name: &'static str, ttl: Duration, redis: crate::redis::Redis, db: &PgPool) -> Self {
        for result in ["hit", "miss", "negative", "bypass"] {
            REQUESTS.with_label_values(&[name, result]);
        }
        // An entry outlives its load only if the caller that led it went away just then.
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

    /// The cached value, or what `load` says; concurrent misses of one key load once.
    pub async fn get_or_load<E, F>(&self, key: &str, load: F) -> Result<Option<Versioned<V>>, E>
    where
        F: Future<Output = Result<Option<Versioned<V>>, E>> + Send,
        E: Clone + Send + Sync + 'static,
    {
        let inner = &*self.inner;
        // Before anything is read: what a write makes stale from here on is not joined.
        let flight = (key.to_owned(), inner.epoch(key).load(Ordering::Acquire));
        let place = inner.shared.place(key);
        // Redis first: another replica may have created what we believe absent.
        let (result, place) = match inner.ask(key, place).await {
            (Found::Value(value), _) => {
                inner.count("hit");
                return Ok(Some(value));
            }
            (Found::Nothing, place) => ("miss", place),
            // It is not spoken to again: one that is away costs a lookup one timeout, not three.
            (Found::Unknown, _) => ("bypass", None),
        };
        if inner.absent.contains_key(&flight) {
            inner.count("negative");
            return Ok(None);
        }
        inner.count(result);
        // Boxed, because it is large, and most lookups need none of it.
        let load = inner.load(&flight, place, load);
        let loaded = Box::pin(inner.flights.try_get_with(flight.clone(), load)).await;
        inner.flights.invalidate(&flight).await;
        loaded.map_err(|error| E::clone(&error))
    }

    /// Keeps a value that was just committed, so that readers see it from now on. Also ends a negative entry.
    pub async fn put(&self, key: &str, value: Versioned<V>) {
        self.inner.next_epoch(key);
        self.inner.shared.put(key, &value).await;
        self.inner.next_epoch(key);
    }

    /// [`Cache::put`] for all that a transaction changed, in one round trip.
    pub async fn put_all(&self, entries: &[(String, Versioned<V>)]) {
        entries.iter().for_each(|(key, _)| self.inner.next_epoch(key));
        self.inner.shared.put_all(entries).await;
        entries.iter().for_each(|(key, _)| self.inner.next_epoch(key));
    }

    /// Drops a value that a commit has changed, so that the next reader asks the loader.
    pub async fn forget(&self, key: &str) {
        self.inner.next_epoch(key);
        self.inner.shared.forget(key).await;
        self.inner.next_epoch(key);
    }
}

impl<V: Clone + Serialize + DeserializeOwned> Inner<V> {
    async fn ask(&self, key: &str, place: Option<Place>) -> (Found<V>, Option<Place>) {
        match place {
            Some(place) => (self.shared.get(key, &place).await, Some(place)),
            None => (Found::Unknown, None),
        }
    }

    /// Loads, and keeps what was loaded at `place`.
    async fn load<E>(
        &self,
        flight: &(String, u64),
        place: Option<Place>,
        load: impl Future<Output = Result<Option<Versioned<V>>, E>>,
    ) -> Result<Option<Versioned<V>>, E> {
        let (key, _) = flight;
        let _permit = self.loads.acquire().await; // never closed, so never refused
        // The load before this one may just have ended.
        let (found, place) = self.ask(key, place).await;
        if let Found::Value(value) = found {
            return Ok(Some(value));
        }
        let loaded = load.await?;
        match (&loaded, place) {
            (Some(value), Some(place)) => self.shared.fill(&place, value).await,
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
