//! A circuit breaker per dependency: windowed failure ratio, few half-open probes, stale results
//! ignored.

/// Cheap to clone.
#[derive(Clone)]
pub struct Breaker {}

/// The breaker is open: the call was not made.
#[derive(Debug, thiserror::Error)]
#[error("circuit breaker is open")]
pub struct Open;
