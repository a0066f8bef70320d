//! CORS, trusted proxies and rate limits.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{Limits, Origins};
use crate::caller::{self, Verified, Verifier};
use crate::config::{Edge, Proxy};
use crate::error::{ApiError, Kind};
use crate::limit::{Client, Limiter, Policy, Standing};
use crate::redis::Redis;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The client's last write: see `docs/decisions/0014-reading-from-a-replica.md`.
const READ_AFTER: HeaderName = HeaderName::from_static("read-after");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Time for which a browser may cache a preflight answer.
const PREFLIGHT_LIFE: Duration = Duration::from_mins(10);

/// The limits that the listener adds to every request. Without them, as in tests of a router, no client is
/// limited.
#[derive(Clone)]
pub(crate) struct Front(Arc<Inner>);

struct Inner {
    limiter: Limiter,
    proxies: Vec<Proxy>,
    cors: Option<CorsLayer>,
}

impl Front {
    pub(crate) fn new(config: &Edge, redis: Redis) -> Self {
        Self(Arc::new(Inner {
            limiter: Limiter::new(redis, config.rate_limit, config.rate_limit_strict),
            proxies: config.trusted_proxies.clone(),
            cors: cors(config),
        }))
    }

    /// Returns the trusted proxies, each of which stands for many clients.
    pub(crate) fn proxies(&self) -> &[Proxy] {
        &self.0.proxies
    }

    /// Returns the origin of a request from `peer`, according to trusted proxies.
    pub(crate) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        if self.0.proxies.is_empty() {
            return peer;
        }
        SocketAddr::new(Proxy::client(&self.0.proxies, peer.ip(), headers), peer.port())
    }
}

/// Builds the CORS layer. Without origins there is none, and a browser lets no page of another site read an
/// answer.
fn cors(config: &Edge) -> Option<CorsLayer> {
    let origins: Vec<_> = config.cors_allowed_origins.iter().map(|o| o.header()).collect();
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([
                AUTHORIZATION,
                CONTENT_TYPE,
                IF_MATCH,
                IDEMPOTENCY_KEY,
                READ_AFTER,
                REQUEST_ID,
            ])
            .expose_headers([
                ETAG,
                LOCATION,
                READ_AFTER,
                RETRY_AFTER,
                REQUEST_ID,
                RATE_LIMIT,
                RATE_LIMIT_POLICY,
                HeaderName::from_static("idempotency-replayed"),
            ])
            .max_age(PREFLIGHT_LIFE)
    })
}

/// Answers preflight requests, and adds the CORS headers to all other answers.
pub(super) async fn shared(origins: Origins, request: Request, next: Next) -> Response {
    let cors = request.extensions().get::<Front>().and_then(|front| front.0.cors.clone());
    let Some(cors) = cors.filter(|_| origins != Origins::Refused) else {
        return next.run(request).await;
    };
    let service = cors.allow_credentials(origins == Origins::WithCookies).layer(next);
    service.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {})
}

/// Refuses clients that have used up their quota, and reports the rest of it to all others.
pub(super) async fn limited(limits: Limits, mut request: Request, next: Next) -> Response {
    let Some(front) = request.extensions().get::<Front>().cloned() else {
        return next.run(request).await;
    };
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let is_among = |routes: &[&str]| route.is_some_and(|route| routes.contains(&route));
    if is_among(limits.unlimited) {
        return next.run(request).await;
    }
    let (policy, client) = if is_among(limits.strict) {
        // By address, even with a token: an attacker may have many accounts.
        (Policy::Strict, address(&request))
    } else {
        (Policy::Default, client(&mut request).await)
    };
    let limiter = &front.0.limiter;
    let standing = limiter.count(policy, client).await;
    let mut response = match standing.refused_for {
        None => next.run(request).await,
        Some(wait) => too_many(wait).into_response(),
    };
    tell(response.headers_mut(), limiter, policy, standing);
    response
}

fn too_many(wait: Duration) -> ApiError {
    let mut error =
        ApiError::new(Kind::RateLimited, "rate_limited", "too many requests; retry later");
    error.retry_after = Some(wait);
    error
}

/// Adds the headers of draft-ietf-httpapi-ratelimit-headers-10: quota `q` per `w` seconds, `r` left, all
/// available again in `t` seconds.
fn tell(headers: &mut HeaderMap, limiter: &Limiter, policy: Policy, standing: Standing) {
    let (name, quota) = (policy.name(), limiter.quota(policy));
    let (limit, window) = (quota.requests(), quota.period().as_secs().max(1));
    let left = format!("\"{name}\";r={};t={}", standing.remaining, seconds(standing.full_in));
    let policy = format!("\"{name}\";q={limit};w={window}");
    for (header, text) in [(RATE_LIMIT, left), (RATE_LIMIT_POLICY, policy)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(header, value);
        }
    }
}

fn seconds(time: Duration) -> u128 {
    time.as_millis().div_ceil(1000)
}

/// Returns the member if the token is valid, else the address. The handler reuses the verified token.
async fn client(request: &mut Request) -> Client {
    let member = match (request.extensions().get::<Verifier>(), caller::bearer(request.headers())) {
        (Some(verifier), Ok(token)) => verifier.member(token).await.ok(),
        _ => None,
    };
    let Some(member) = member else { return address(request) };
    let client = Client::Member(member.sub);
    request.extensions_mut().insert(Verified(member));
    client
}

fn address(request: &Request) -> Client {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    Client::at(peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip()))
}
