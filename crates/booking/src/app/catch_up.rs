use super::{Bookings, Error};

impl Bookings {
    /// Completes the work that an older version, or a booking made while its merchant was being closed, left behind. The
    /// parts are one job, because each job has a connection of its own. None waits for another's failure.
    pub async fn catch_up(&self) -> Result<(), Error> {
        let announced = self.announce_merchants().await;
        let cancelled = self.cancel_at_closed_merchants().await;
        let recorded = self.record_wall_times().await;
        announced.and(cancelled).and(recorded).map(drop)
    }
}
