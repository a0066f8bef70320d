use std::time::Duration;

use kit::jobs;
use observability::task;
use tokio_util::sync::CancellationToken;

use super::{Bookings, Error};
use crate::peers;

/// Nobody waits for the job: an expired hold is expired for everyone who looks, and for whoever wants
/// its slot. It keeps the table and the index small.
const EXPIRE: Duration = Duration::from_secs(30);

/// A reminder is for the day before, so a minute is nothing.
const REMIND: Duration = Duration::from_secs(60);

/// Only what an older version writes while it is being replaced has to wait for it, and what was booked while a
/// merchant was being closed.
const CATCH_UP: Duration = Duration::from_secs(60);

/// What was completed a year ago can wait.
const ARCHIVE: Duration = Duration::from_secs(60 * 60);

impl Bookings {
    /// What nobody asks for and has to be done all the same, until `stop`.
    pub fn keep_house(&self, stop: &CancellationToken) {
        self.on_every_replica(stop);
        self.on_one_replica(stop);
    }

    fn on_every_replica(&self, stop: &CancellationToken) {
        tokio::spawn(peers::deliver(self.db.clone(), self.points.clone(), stop.clone()));
        let (this, until) = (self.clone(), stop.clone());
        tokio::spawn(async move {
            let sagas = || {
                let drive = this.clone().drive_sagas(until.clone());
                async {
                    drive.await;
                    Ok(())
                }
            };
            task::supervise("sagas", until.clone(), sagas).await;
        });
        let (this, until) = (self.clone(), stop.clone());
        tokio::spawn(async move { this.keep_guard(until).await });
        if let Some(line) = &self.line {
            peers::tell(self, line, stop);
        }
    }

    /// One job for what is seldom there: each has a connection of its own. None waits for another's failure.
    async fn catch_up(&self) -> Result<(), Error> {
        let told = self.tell_of_merchants().await;
        let emptied = self.empty_closed().await;
        let recorded = self.record_wall_times().await;
        told.and(emptied).and(recorded).map(drop)
    }

    fn on_one_replica(&self, stop: &CancellationToken) {
        tokio::spawn(jobs::housekeeping(self.db.clone(), stop.clone()));
        let this = self.clone();
        let expire = move || {
            let this = this.clone();
            async move { Ok(this.expire_overdue().await.map(drop)?) }
        };
        tokio::spawn(jobs::every("expire_holds", EXPIRE, self.db.clone(), stop.clone(), expire));
        let this = self.clone();
        let remind = move || {
            let this = this.clone();
            async move { Ok(this.remind().await.map(drop)?) }
        };
        tokio::spawn(jobs::every("reminders", REMIND, self.db.clone(), stop.clone(), remind));
        let this = self.clone();
        let catch_up = move || {
            let this = this.clone();
            async move { Ok(this.catch_up().await?) }
        };
        tokio::spawn(jobs::every("catch_up", CATCH_UP, self.db.clone(), stop.clone(), catch_up));
        let this = self.clone();
        let archive = move || {
            let this = this.clone();
            async move { Ok(this.archive().await.map(drop)?) }
        };
        tokio::spawn(jobs::every("archive", ARCHIVE, self.db.clone(), stop.clone(), archive));
    }
}
