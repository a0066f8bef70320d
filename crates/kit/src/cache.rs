//! Cache-aside with single flight, typed negative entries, jitter and versions. When Redis is away
//! the loader is asked, behind a limit.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value with the version of its row: an older one never replaces a newer one.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
pub struct Versioned<V> {
    pub version: i64,
    pub value: V,
}

/// A cache of one kind of thing, in Redis under `name:key`.
#[derive(Clone)]
pub struct Cache<V> {
    _of: std::marker::PhantomData<V>,
}

impl<V: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Cache<V> {
    /// `ttl` is jittered by ±20 %; absence is remembered for at most 5 s.
    pub fn new(_name: &'static str, _ttl: Duration, _redis: crate::redis::Redis) -> Self {
        todo!()
    }

    /// The cached value, or what `load` says; concurrent misses of one key load once.
    pub async fn get_or_load<E, F>(&self, _key: &str, _load: F) -> Result<Option<Versioned<V>>, E>
    where
        F: Future<Output = Result<Option<Versioned<V>>, E>> + Send,
        E: Clone + Send + Sync + 'static,
    {
        todo!()
    }

    /// After a commit: what readers must see from now on. Also ends a negative entry.
    pub async fn put(&self, _key: &str, _value: Versioned<V>) {
        todo!()
    }

    pub async fn forget(&self, _key: &str) {
        todo!()
    }
}
