//! One try to deliver one event, and what its failure says.

use std::time::Duration;

use observability::{SpanKind, panics};
use tokio::time::timeout;

use super::relay::ENDPOINT;
use super::store::Due;
use super::{Deliver, Event};
use crate::breaker;

pub(super) const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why an event was not delivered, as it may be written down: no text from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The consumer is away. Says nothing about the event, so it is tried for ever.
    Outage,
    /// The consumer failed, or does not know us: a fault of it or of the event, which only other events tell.
    Broken,
    /// The consumer understood the event and refused it.
    Refused,
    Panicked,
}

impl Failure {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Outage => "consumer unavailable",
            Self::Broken => "failed",
            Self::Refused => "refused",
            Self::Panicked => "panicked",
        }
    }

    fn of(error: &anyhow::Error) -> Self {
        use tonic::Code;
        let away = |cause: &(dyn std::error::Error + 'static)| {
            cause.is::<breaker::Open>() || cause.is::<std::io::Error>()
        };
        if error.chain().any(away) {
            return Self::Outage;
        }
        let code =
            error.chain().find_map(|cause| Some(cause.downcast_ref::<tonic::Status>()?.code()));
        match code {
            Some(
                Code::Unavailable
                | Code::DeadlineExceeded
                | Code::ResourceExhausted
                | Code::Cancelled,
            ) => Self::Outage,
            Some(
                Code::InvalidArgument
                | Code::NotFound
                | Code::AlreadyExists
                | Code::FailedPrecondition
                | Code::Aborted
                | Code::OutOfRange
                | Code::Unimplemented
                | Code::DataLoss,
            ) => Self::Refused,
            Some(
                Code::Ok
                | Code::Unknown
                | Code::Internal
                | Code::Unauthenticated
                | Code::PermissionDenied,
            )
            | None => Self::Broken,
        }
    }
}

/// Gives the event to its consumer once.
pub(super) async fn attempt<D: Deliver>(deliver: &D, due: &Due) -> Result<(), Failure> {
    let Event { id, kind, .. } = &due.event;
    let deliver = async {
        let deliver = panics::catch(ENDPOINT, async { deliver.deliver(&due.event).await });
        match timeout(DELIVERY_TIMEOUT, deliver).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => {
                let failure = Failure::of(&error);
                let error = format!("{error:#}");
                tracing::warn!(event = %id, kind, failure = failure.name(), error, "event not delivered");
                Err(failure)
            }
            Ok(Err(_)) => Err(Failure::Panicked), // the hook has logged it
            Err(_) => {
                tracing::warn!(event = %id, kind, "event not delivered in time");
                Err(Failure::Outage)
            }
        }
    };
    due.carrier.scope(format!("deliver {kind}"), SpanKind::Producer, deliver).await
}
