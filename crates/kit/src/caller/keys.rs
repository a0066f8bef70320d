//! Fetches a verifier's keys from auth.

use std::sync::Arc;
use std::time::Duration;

use proto::auth::v1::GetKeysRequest;
use proto::auth::v1::auth_client::AuthClient;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tonic::Request;
use tonic::transport::Channel;

use super::Verifier;

/// Time between two regular fetches.
const PERIOD: Duration = Duration::from_secs(60);
/// Minimum time between two fetches for unknown key ids, so that invented ids do not flood auth.
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(5);
/// Time that a caller with an unknown key id waits.
const PATIENCE: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(10);

pub(super) struct Source {
    auth: AuthClient<Channel>,
    asked: Mutex<Option<Instant>>,
}

impl Source {
    pub(super) fn new(auth: Channel) -> Self {
        Self { auth: AuthClient::new(auth), asked: Mutex::new(None) }
    }

    /// Fetches newer keys because of an unknown key id, unless they were fetched recently. Concurrent callers
    /// wait for the same answer.
    pub(super) async fn ask(&self, verifier: &Verifier, kid: &str) {
        let mut asked = self.asked.lock().await;
        let recently = asked.is_some_and(|at| at.elapsed() < BETWEEN_QUESTIONS);
        if recently || verifier.key(kid).is_some() {
            return;
        }
        *asked = Some(Instant::now());
        match timeout(PATIENCE, self.fetch()).await {
            Ok(Ok(keys)) => verifier.set_keys(keys),
            Ok(Err(error)) => tracing::warn!(error = format!("{error:#}"), "no keys from auth"),
            Err(_) => tracing::warn!("no keys from auth in time"),
        }
    }

    async fn fetch(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let mut request = Request::new(GetKeysRequest {});
        request.set_timeout(Duration::from_secs(2));
        let keys = self.auth.clone().get_keys(request).await?.into_inner().keys;
        // Keeping the current keys is better than having none.
        anyhow::ensure!(!keys.is_empty(), "auth has no keys");
        Ok(keys.into_iter().map(|key| (key.kid, key.public_key)).collect())
    }
}

/// Fetches the keys now and then every minute, until the verifier is dropped.
pub(super) fn keep_fresh(verifier: &Verifier) {
    let weak = Arc::downgrade(&verifier.0);
    tokio::spawn(async move {
        let mut retry = FIRST_RETRY;
        loop {
            let Some(verifier) = weak.upgrade().map(Verifier) else { return };
            let Some(source) = &verifier.0.source else { return };
            let wait = match source.fetch().await {
                Ok(keys) => {
                    verifier.set_keys(keys);
                    retry = FIRST_RETRY;
                    PERIOD
                }
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "no keys from auth yet");
                    retry = (retry * 2).min(LAST_RETRY);
                    retry.mul_f64(rand::random_range(0.5..1.0))
                }
            };
            drop(verifier);
            sleep(wait).await;
        }
    });
}
