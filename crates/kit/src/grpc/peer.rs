//! A channel to another service.

use std::error::Error as _;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use observability::grpc::{Client, client_layer};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::transport::{Channel, Error};
use tonic::{Code, Status, TimeoutExpired};
use tower::{Layer as _, Service, ServiceExt as _};

use super::credentials::Credentials;
use super::timeout;
use crate::channel::channel;
use crate::deadline;

/// Time limit of a call without a deadline of its own.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A channel to another service: `PointsClient::new(peer)`. It adds the service token, the trace context, the
/// request and correlation ids, and a deadline: the call's own or 2 s, but not more than the current request
/// has left. It does not retry; the caller does, if the call may be repeated.
#[derive(Clone)]
pub struct Peer {
    channel: Client<Channel>,
    credentials: Arc<Credentials>,
}

impl Peer {
    /// Creates a lazy channel to `url` (http://host:port), with a connection to every address of the host.
    pub fn new(url: &str, auth: &crate::config::Auth) -> anyhow::Result<Self> {
        let channel = client_layer().layer(channel(url, &auth.tls)?);
        Ok(Self { channel, credentials: Arc::new(Credentials::new(auth)?) })
    }

    async fn send(self, request: http::Request<Body>) -> Result<http::Response<Body>, Error> {
        let limit = timeout::read(request.headers()).unwrap_or(TIMEOUT);
        let by = Instant::now() + limit;
        let by = deadline::current().map_or(by, |outer| outer.min(by));
        let late = || Status::deadline_exceeded("no answer in time").into_http();
        match timeout_at(by, self.send_by(by, request)).await {
            // tonic reads the header that we write, and would answer `Cancelled`.
            Ok(Err(error)) if error.source().is_some_and(|e| e.is::<TimeoutExpired>()) => {
                Ok(late())
            }
            Ok(result) => result,
            Err(_) => Ok(late()),
        }
    }

    async fn send_by(
        mut self,
        by: Instant,
        mut request: http::Request<Body>,
    ) -> Result<http::Response<Body>, Error> {
        // The failure to get a token is an answer, not a broken channel.
        let bearer = match self.credentials.bearer().await {
            Ok(bearer) => bearer,
            Err(status) => return Ok(status.into_http()),
        };
        request.headers_mut().insert(AUTHORIZATION, bearer.clone());
        let channel = self.channel.ready().await?;
        timeout::write(request.headers_mut(), by.saturating_duration_since(Instant::now()));

        let response = channel.call(request).await?;
        if Status::from_header_map(response.headers())
            .is_some_and(|status| status.code() == Code::Unauthenticated)
        {
            self.credentials.refused(&bearer);
        }
        Ok(response)
    }
}

impl Service<http::Request<Body>> for Peer {
    type Response = http::Response<Body>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // `call` waits for readiness, within the deadline.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.clone().send(request).boxed()
    }
}
