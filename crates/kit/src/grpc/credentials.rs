//! This service's own token: fetched from auth, cached, and renewed before it expires.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwapOption;
use http::HeaderValue;
use proto::auth::v1::IssueServiceTokenRequest;
use proto::auth::v1::auth_client::AuthClient;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::channel::channel;

/// Shorter than a peer's default deadline, so that a caller sees the cause.
const FETCH_TIMEOUT: Duration = Duration::from_secs(1);
/// Time after a failure in which callers fail at once instead of waiting for the next attempt.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

pub(super) struct Credentials {
    auth: AuthClient<Channel>,
    id: String,
    secret: SecretString,
    held: ArcSwapOption<Token>,
    /// Held during a renewal; contains the time of the last failure.
    renewal: Arc<Mutex<Option<Instant>>>,
}

struct Token {
    bearer: HeaderValue,
    renew_at: Instant,
    expires_at: Instant,
}

impl Credentials {
    pub(super) fn new(config: &crate::config::Auth) -> anyhow::Result<Self> {
        Ok(Self {
            auth: AuthClient::new(channel(&config.auth_grpc_url, &config.tls)?),
            id: config.service_client_id.clone(),
            secret: config.service_client_secret.clone(),
            held: ArcSwapOption::empty(),
            renewal: Arc::default(),
        })
    }

    /// Returns the `authorization` metadata. A valid token is returned while another task renews it; without
    /// one, callers wait for one common answer.
    pub(super) async fn bearer(self: &Arc<Self>) -> Result<HeaderValue, Status> {
        if let Some(token) = self.usable() {
            if Instant::now() >= token.renew_at
                && let Ok(turn) = Arc::clone(&self.renewal).try_lock_owned()
            {
                tokio::spawn(Arc::clone(self).renew(turn));
            }
            return Ok(token.bearer.clone());
        }
        let turn = Arc::clone(&self.renewal).lock_owned().await;
        if self.usable().is_none() {
            Arc::clone(self).renew(turn).await;
        }
        let token =
            self.usable().ok_or_else(|| Status::unavailable("auth issued no service token"))?;
        Ok(token.bearer.clone())
    }

    /// Handles a refused token: the next call uses a new one.
    pub(super) fn refused(&self, bearer: &HeaderValue) {
        let held = self.held.load();
        if held.as_ref().is_some_and(|token| token.bearer == *bearer) {
            self.held.store(None);
        }
    }

    fn usable(&self) -> Option<Arc<Token>> {
        self.held.load_full().filter(|token| Instant::now() < token.expires_at)
    }

    async fn renew(self: Arc<Self>, mut failed: OwnedMutexGuard<Option<Instant>>) {
        if failed.is_some_and(|at| at.elapsed() < AFTER_FAILURE) {
            return;
        }
        match self.fetch().await {
            Ok(token) => {
                self.held.store(Some(Arc::new(token)));
                *failed = None;
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "no service token from auth");
                *failed = Some(Instant::now());
            }
        }
    }

    async fn fetch(&self) -> anyhow::Result<Token> {
        let asked = Instant::now();
        let mut request = Request::new(IssueServiceTokenRequest {
            client_id: self.id.clone(),
            client_secret: self.secret.expose_secret().to_owned(),
        });
        request.set_timeout(FETCH_TIMEOUT);
        let mut auth = self.auth.clone();
        let call = auth.issue_service_token(request);
        let reply =
            tokio::time::timeout(FETCH_TIMEOUT, call).await.context("in time")??.into_inner();

        let mut bearer = HeaderValue::try_from(format!("Bearer {}", reply.token))?;
        bearer.set_sensitive(true);
        let lifetime = Duration::from_secs(reply.expires_in.try_into()?);
        let (renew_at, expires_at) = (asked + lifetime.mul_f64(0.7), asked + lifetime);
        Ok(Token { bearer, renew_at, expires_at })
    }
}
