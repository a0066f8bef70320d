//! The keys that verify tokens, fetched from auth.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::DecodingKey;
use proto::auth::v1::GetKeysRequest;
use proto::auth::v1::auth_client::AuthClient;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tonic::Request;
use tonic::transport::Channel;

use super::refused::Refused;

/// Time between two regular fetches.
const PERIOD: Duration = Duration::from_secs(60);
/// Minimum time between two fetches for unknown key ids, so that invented ids do not flood auth.
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(5);
/// Time that a caller with an unknown key id waits.
const PATIENCE: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(10);

/// Keys by their ids.
pub(super) type KeySet = HashMap<String, DecodingKey>;

/// The current keys, and their source.
#[derive(Default)]
pub(super) struct Keys {
    current: ArcSwap<KeySet>,
    source: Option<Source>,
}

struct Source {
    auth: AuthClient<Channel>,
    /// The time of the last fetch for an unknown key id.
    asked: Mutex<Option<Instant>>,
}

impl Keys {
    /// Creates keys that are fetched now, every minute, and on an unknown key id, until they are dropped.
    pub(super) fn from_auth(auth: Channel) -> Arc<Self> {
        let source = Source { auth: AuthClient::new(auth), asked: Mutex::default() };
        let keys = Arc::new(Self { source: Some(source), ..Self::default() });
        keep_fresh(&keys);
        keys
    }

    pub(super) fn set(&self, keys: Vec<(String, Vec<u8>)>) {
        let keys = keys.into_iter().map(|(kid, key)| (kid, DecodingKey::from_ed_der(&key)));
        self.current.store(Arc::new(keys.collect()));
    }

    pub(super) fn current(&self) -> Arc<KeySet> {
        self.current.load_full()
    }

    /// Returns the key with this id. An unknown one is fetched from auth.
    pub(super) async fn find(&self, kid: &str) -> Result<DecodingKey, Refused> {
        if let Some(key) = self.get(kid) {
            return Ok(key);
        }
        if let Some(source) = &self.source {
            // Boxed: the future is rare and large.
            Box::pin(self.refresh(source, kid)).await;
        }
        self.get(kid).ok_or_else(|| {
            // Without keys the token may be valid; the client must keep it and retry.
            let none = self.current.load().is_empty();
            if none { Refused::KeysUnavailable } else { Refused::Invalid }
        })
    }

    fn get(&self, kid: &str) -> Option<DecodingKey> {
        self.current.load().get(kid).cloned()
    }

    /// Fetches the keys because of an unknown key id, unless they were fetched recently. Concurrent callers wait for
    /// the same answer.
    async fn refresh(&self, source: &Source, kid: &str) {
        let mut asked = source.asked.lock().await;
        let recently = asked.is_some_and(|at| at.elapsed() < BETWEEN_QUESTIONS);
        if recently || self.get(kid).is_some() {
            return;
        }
        *asked = Some(Instant::now());
        match timeout(PATIENCE, source.fetch()).await {
            Ok(Ok(keys)) => self.set(keys),
            Ok(Err(error)) => tracing::warn!(error = format!("{error:#}"), "no keys from auth"),
            Err(_) => tracing::warn!("no keys from auth in time"),
        }
    }
}

impl Source {
    async fn fetch(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let mut request = Request::new(GetKeysRequest {});
        request.set_timeout(Duration::from_secs(2));
        let keys = self.auth.clone().get_keys(request).await?.into_inner().keys;
        // Keeping the current keys is better than having none.
        anyhow::ensure!(!keys.is_empty(), "auth has no keys");
        Ok(keys.into_iter().map(|key| (key.kid, key.public_key)).collect())
    }
}

fn keep_fresh(keys: &Arc<Keys>) {
    let weak = Arc::downgrade(keys);
    tokio::spawn(async move {
        let mut retry = FIRST_RETRY;
        loop {
            let Some(keys) = weak.upgrade() else { return };
            let Some(source) = &keys.source else { return };
            let wait = match source.fetch().await {
                Ok(fetched) => {
                    keys.set(fetched);
                    retry = FIRST_RETRY;
                    PERIOD
                }
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "no keys from auth yet");
                    retry = (retry * 2).min(LAST_RETRY);
                    retry.mul_f64(rand::random_range(0.5..1.0))
                }
            };
            drop(keys);
            sleep(wait).await;
        }
    });
}
