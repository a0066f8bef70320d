use std::time::Duration;

use chrono::TimeDelta;
use kit::postgres;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Error, Incidents};
use crate::domain::{Health, Impact, availability, days};
use crate::store::{self, overview};
use crate::view::{Filter, Overview, PublicIncident, ServiceHealth, Stage};

/// The period in which changes are looked for.
const LOOK: Duration = Duration::from_millis(500);

impl Incidents {
    /// Returns the public health of all services.
    pub async fn overview(&self) -> Result<Overview, Error> {
        let now = self.clock.now();
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        // More than the shown days, for incidents that began before and ended within.
        let since = now - TimeDelta::days(120);
        let impacts = overview::impacts(&mut conn, since).await?;
        let watched = overview::watched(&mut conn, since).await?;
        let verified = Filter { verified: Some(true), ..Filter::default() };
        let open = Filter { stage: Some(Stage::Open), ..verified.clone() };
        let mut active = store::list(&mut conn, &open, None, 50).await?;
        active.sort_by_key(|incident| incident.severity); // stable: newest first within
        let all = store::list(&mut conn, &verified, None, 60).await?;
        let resolved = all.into_iter().filter(|i| i.resolved_at.is_some());
        let recent = resolved.filter(|i| i.merged_into.is_none()).take(8);
        let public = |incident| PublicIncident::of(incident, &self.policy.services);
        let service = |name: &String| {
            let mine = || impacts.iter().filter(|impact| impact.service == *name);
            ServiceHealth {
                name: name.clone(),
                now: worst(mine()),
                days: days(mine(), &watched, now),
                availability: availability(mine(), &watched, now),
            }
        };
        Ok(Overview {
            now,
            overall: worst(impacts.iter()),
            services: self.policy.services.iter().map(service).collect(),
            active: active.into_iter().map(public).collect(),
            recent: recent.map(public).collect(),
        })
    }

    /// Returns a receiver that is notified of every change, on any replica.
    pub fn changes(&self) -> watch::Receiver<Option<Uuid>> {
        self.changes.subscribe()
    }

    /// Looks for changes until `stop`, once for all pages that are open here.
    pub async fn watch(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if self.changes.receiver_count() > 0
                && let Ok(last) = self.last_event().await
            {
                self.changes.send_if_modified(|seen| std::mem::replace(seen, last) != last);
            }
            let _ = stop.run_until_cancelled(sleep(LOOK)).await;
        }
    }

    async fn last_event(&self) -> Result<Option<Uuid>, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        Ok(overview::last_event(&mut conn).await?)
    }
}

/// Returns the health under the impacts that last.
fn worst<'a>(impacts: impl Iterator<Item = &'a Impact>) -> Health {
    let lasting = impacts.filter(|impact| impact.until.is_none());
    lasting.map(|impact| Health::under(impact.severity)).max().unwrap_or(Health::Operational)
}
