//! Background work that must not end.

use tokio_util::sync::CancellationToken;

/// Runs what `factory` makes until `stop`; after an error or a panic again, with growing, jittered
/// pauses. `Ok(())` means the work is done.
pub async fn supervise<F, Fut>(_name: &'static str, _stop: CancellationToken, _factory: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    todo!()
}
