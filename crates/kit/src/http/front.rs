//! Who stands before the router: browsers of other sites, proxies, and clients that ask too much.

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
/// What a client has seen: see `docs/decisions/0014-reading-from-a-replica.md`.
const READ_AFTER: HeaderName = HeaderName::from_static("read-after");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How long a browser need not ask again whether it may.
const PREFLIGHT_LIFE: Duration = Duration::from_mins(10);

/// What the listener puts into every request. Without it, as in tests of a router, nobody is limited.
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

    /// The proxies, which speak for many clients.
    pub(crate) fn proxies(&self) -> &[Proxy] {
        &self.0.proxies
    }

    /// Where a request from `peer` comes from, as far as proxies of ours say so.
    pub(crate) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        if self.0.proxies.is_empty() {
            return peer;
        }
        SocketAddr::new(Proxy::client(&self.0.proxies, peer.ip(), headers), peer.port())
    }
}

/// No origin, no layer: then a browser lets no page of another site read an answer.
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

/// Answers browsers that ask whether they may, and says so on every other answer.
pub(super) async fn shared(origins: Origins, request: Request, next: Next) -> Response {
    let cors = request.extensions().get::<Front>().and_then(|front| front.0.cors.clone());
    let Some(cors) = cors.filter(|_| origins != Origins::Refused) else {
        return next.run(request).await;
    };
    let service = cors.allow_credentials(origins == Origins::WithCookies).layer(next);
    service.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {})
}

/// Refuses clients that have asked too much, and tells all others how much they have left.
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
        // By address whatever token comes along: whoever guesses has accounts to bring them from.
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
        ApiError::new(Kind::RateLimited, "rate_limited", "too many requests; come back later");
    error.retry_after = Some(wait);
    error
}

/// draft-ietf-httpapi-ratelimit-headers-10: of the quota `q` per `w` seconds, `r` are left, and all are
/// back in `t` seconds.
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

/// A member with a good token, else the address. The handler finds the token verified.
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
