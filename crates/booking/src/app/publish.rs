use tokio_util::sync::CancellationToken;

use super::Bookings;
use crate::peers;

impl Bookings {
    /// Delivers the events of the outbox to points until `stop`.
    pub async fn publish_events(self, stop: CancellationToken) -> anyhow::Result<()> {
        peers::deliver(self.db, self.points, stop).await;
        Ok(())
    }
}
