use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Waits until `probe` answers `Some`, and returns that. Panics at the deadline.
///
/// ```ignore
/// eventually(Duration::from_secs(5), || async { reply().await.filter(|r| r.status == 200) }).await;
/// ```
#[track_caller]
pub fn eventually<T, F, Fut>(deadline: Duration, mut probe: F) -> impl Future<Output = T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    const BETWEEN: Duration = Duration::from_millis(20);

    let caller = Location::caller();
    async move {
        let end = Instant::now() + deadline;
        loop {
            if let Some(value) = probe().await {
                return value;
            }
            assert!(Instant::now() < end, "{caller}: still not true after {deadline:?}");
            sleep(BETWEEN).await;
        }
    }
}
