use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Error, Incidents};
use crate::domain::{Causes, Grouping, Number, Opening, Situation};
use crate::store::{alerts, incidents, timeline};

/// New alerts that were stored.
pub(super) struct NewAlerts<'a> {
    pub(super) openings: Vec<&'a Opening>,
    /// True when there were more alerts than were delivered.
    pub(super) incomplete: bool,
}

impl Incidents {
    /// Puts new alerts into the incident of their cause, and opens one where none is open.
    pub(super) async fn group(
        &self,
        tx: &mut PgConnection,
        new: NewAlerts<'_>,
        now: DateTime<Utc>,
    ) -> Result<Grouping, Error> {
        let causes = Causes::of(new.openings, &self.policy.thresholds);
        if causes.is_empty() {
            return Ok(Grouping::default());
        }
        let last = incidents::last_number(tx, Number::year(now)).await?;
        let open = incidents::lock_open(tx, &causes.names()).await?;
        let (targets, incomplete) = (&self.policy.targets, new.incomplete);
        let grouping = causes.group(&Situation { targets, open, last, incomplete, now });

        incidents::open(tx, &grouping.opened).await?;
        for change in &grouping.reclassified {
            incidents::reclassify(tx, self.clock.id(), change, now).await?;
        }
        alerts::regroup(tx, &grouping.moved).await?;
        timeline::affect(tx, &grouping.affected).await?;
        self.record(tx, &grouping.entries, now).await?;
        self.announce_all(tx, &grouping.notices, now).await?;
        Ok(grouping)
    }
}
