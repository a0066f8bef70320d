//! One attempt to deliver one event, and the meaning of its failure.

use std::time::Duration;

use observability::{SpanKind, panics};
use tokio::time::timeout;

use super::store::Due;
use super::{Deliver, Event};
use crate::breaker;

/// The name under which panics of a `Deliver` and of the relay are counted.
pub(super) const ENDPOINT: &str = "outbox";

const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// The reason for a failed delivery, without text from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The circuit breaker is open; the consumer was not called.
    NotAsked,
    /// The consumer cannot be reached, or does not answer in time.
    ConsumerAway,
    /// The consumer failed, or does not know this service.
    ConsumerFailed,
    /// The consumer refused the event.
    EventRefused,
    Panicked,
}

impl Failure {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NotAsked | Self::ConsumerAway => "consumer unavailable",
            Self::ConsumerFailed => "failed",
            Self::EventRefused => "refused",
            Self::Panicked => "panicked",
        }
    }

    /// Returns the number of counted failures after which the event is parked.
    pub(super) fn allowed(self) -> i32 {
        match self {
            Self::EventRefused => 5,
            Self::ConsumerFailed | Self::Panicked => 10,
            // A network that drops every other call fails ten times in a row.
            Self::NotAsked | Self::ConsumerAway => 100,
        }
    }

    fn of(error: &anyhow::Error) -> Self {
        use tonic::Code;
        if error.chain().any(|cause| cause.is::<breaker::Open>()) {
            return Self::NotAsked;
        }
        if error.chain().any(|cause| cause.is::<std::io::Error>()) {
            return Self::ConsumerAway;
        }
        let code =
            error.chain().find_map(|cause| Some(cause.downcast_ref::<tonic::Status>()?.code()));
        match code {
            Some(
                Code::Unavailable
                | Code::DeadlineExceeded
                | Code::ResourceExhausted
                | Code::Cancelled,
            ) => Self::ConsumerAway,
            Some(
                Code::InvalidArgument
                | Code::NotFound
                | Code::AlreadyExists
                | Code::FailedPrecondition
                | Code::Aborted
                | Code::OutOfRange
                | Code::Unimplemented
                | Code::DataLoss,
            ) => Self::EventRefused,
            Some(
                Code::Ok
                | Code::Unknown
                | Code::Internal
                | Code::Unauthenticated
                | Code::PermissionDenied,
            )
            | None => Self::ConsumerFailed,
        }
    }
}

/// Delivers the event to its consumer once.
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
            Ok(Err(_)) => Err(Failure::Panicked), // logged by the panic hook
            Err(_) => {
                tracing::warn!(event = %id, kind, "event not delivered in time");
                Err(Failure::ConsumerAway)
            }
        }
    };
    due.carrier.scope(format!("deliver {kind}"), SpanKind::Producer, deliver).await
}
