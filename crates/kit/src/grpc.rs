//! The gRPC edge: authorization of incoming calls; token, trace and deadline of outgoing calls.

mod credentials;
mod peer;
mod timeout;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio::time::Instant;
use tonic::Status;
use tonic::service::Routes;

pub use self::peer::Peer;
use crate::caller::{self, Verifier};
use crate::channel::tls;
use crate::error::{ApiError, Class, Classify, Kind};
use crate::{command, deadline};

/// The services that may call each method: `("/points.v1.Points/Earn", &["booking"])`. `&["*"]` opens a
/// method to callers without a token, who need it to get their first token and the keys.
pub type Allowlist = &'static [(&'static str, &'static [&'static str])];

const ANYONE: &[&str] = &["*"];

/// The services that every server has in addition to its own.
const OPEN: [&str; 2] = ["/grpc.health.v1.Health/", "/grpc.reflection."];

/// Guards every route. A call needs a valid service token, the service must be on the method's list and, over
/// TLS, in the caller's certificate, and a deadline is required. A method without a list is refused. Health
/// and reflection are open.
pub fn guard(routes: Routes, verifier: Verifier, allow: Allowlist) -> Routes {
    let guard = Guard { verifier, allow };
    let router = routes.prepare().into_axum_router();
    router.layer(middleware::from_fn_with_state(guard, admit)).into()
}

#[derive(Clone)]
struct Guard {
    verifier: Verifier,
    allow: Allowlist,
}

async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.check(request).await {
        // A call outlives its client, like a write over HTTP.
        Ok((request, Some(by))) => deadline::within(by, command::run(next.run(request))).await,
        Ok((request, None)) => command::run(next.run(request)).await,
        Err(error) => Status::from(error).into_http(),
    }
}

impl Guard {
    /// Returns the request for its handler, and its deadline.
    async fn check(&self, mut request: Request) -> Result<(Request, Option<Instant>), ApiError> {
        let by = timeout::read(request.headers()).map(|left| Instant::now() + left);
        let path = request.uri().path();
        let listed = self.allow.iter().find(|(method, _)| *method == path).map(|(_, names)| *names);
        if listed == Some(ANYONE) || OPEN.iter().any(|open| path.starts_with(open)) {
            return Ok((request, by));
        }
        let service = self.verifier.service(caller::bearer(request.headers())?).await?;
        if !listed.is_some_and(|names| names.contains(&service.name.as_str())) {
            return Err(Refused::NotAllowed.into());
        }
        if !tls::may_be(&service.name, request.extensions()) {
            return Err(Refused::OtherCertificate.into());
        }
        if by.is_none() {
            return Err(Refused::DeadlineRequired.into());
        }
        request.extensions_mut().insert(service);
        Ok((request, by))
    }
}

/// The reason for refusing a call with a valid token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("the service may not call this method")]
    NotAllowed,
    #[error("the certificate belongs to another service than the token")]
    OtherCertificate,
    #[error("a deadline is required, in grpc-timeout")]
    DeadlineRequired,
}

impl Classify for Refused {
    fn class(&self) -> Class {
        match self {
            Self::NotAllowed | Self::OtherCertificate => Kind::Forbidden.code("forbidden"),
            Self::DeadlineRequired => Kind::Malformed.code("deadline_required"),
        }
    }
}
