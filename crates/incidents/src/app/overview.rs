use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kit::postgres;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Error, Filter, Incident, Incidents, Stage};
use crate::domain::{DAYS, Health, Severity, availability, days};
use crate::store::{self, overview};

/// How late a page may learn that something has happened.
const LOOK: Duration = Duration::from_millis(500);

/// How everything does, as anybody may know.
#[derive(Clone, Debug)]
pub struct Overview {
    pub now: DateTime<Utc>,
    pub overall: Health,
    pub services: Vec<ServiceHealth>,
    /// What still burns, the worst first.
    pub active: Vec<PublicIncident>,
    /// What is over, newest first.
    pub recent: Vec<PublicIncident>,
}

/// An incident, as anybody may know it: nothing of what an alert or an operator wrote is in it.
#[derive(Clone, Debug)]
pub struct PublicIncident {
    pub number: String,
    pub severity: String,
    /// One of those that the status page shows; None: something behind them.
    pub service: Option<String>,
    pub status: String,
    pub opened_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
}

impl PublicIncident {
    fn of(incident: Incident, services: &[String]) -> Self {
        let Incident { number, severity, service, status, opened_at, resolved_at, .. } = incident;
        let service = services.contains(&service).then_some(service);
        Self { number, severity, service, status, opened_at, resolved_at }
    }

    /// What is wrong, in words of ours.
    pub fn title(&self) -> String {
        let what = self.service.as_deref().unwrap_or("Something behind the services");
        let severity = self.severity.parse().unwrap_or(Severity::P0); // a CHECK knows them all
        format!("{what} {}", Health::felt(severity))
    }
}

#[derive(Clone, Debug)]
pub struct ServiceHealth {
    pub name: String,
    pub now: Health,
    /// The oldest day first, today last; None where nothing is known.
    pub days: [Option<Health>; DAYS],
    /// From 0 to 1, in what was watched of these days; None while that is less than a day.
    pub availability: Option<f64>,
}

impl Incidents {
    pub async fn overview(&self) -> Result<Overview, Error> {
        let now = self.clock.now();
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        // Some days more, for incidents that began before and ended within.
        let since = now - TimeDelta::days(120);
        let afflictions = overview::afflictions(&mut conn, since).await?;
        let watched = overview::watched(&mut conn, since).await?;
        let believed = Filter { verified: Some(true), ..Filter::default() };
        let open = Filter { stage: Some(Stage::Open), ..believed.clone() };
        let mut active = store::list(&mut conn, &open, None, 50).await?;
        active.sort_by(|a, b| a.severity.cmp(&b.severity)); // stable: newest first within
        let everything = store::list(&mut conn, &believed, None, 60).await?;
        let over = everything.into_iter().filter(|i| i.resolved_at.is_some());
        let recent = over.filter(|i| i.merged_into.is_none()).take(8);
        let public = |incident| PublicIncident::of(incident, &self.policy.services);

        let service = |name: &String| {
            let mine = || afflictions.iter().filter(|a| a.service == *name);
            let burning = mine().filter(|a| a.until.is_none());
            let now_ = burning.map(|a| Health::under(a.severity)).max();
            let now_ = now_.unwrap_or(Health::Operational);
            ServiceHealth {
                name: name.clone(),
                now: now_,
                days: days(mine(), &watched, now),
                availability: availability(mine(), &watched, now),
            }
        };
        let burning = afflictions.iter().filter(|a| a.until.is_none());
        let overall = burning.map(|a| Health::under(a.severity)).max();
        Ok(Overview {
            now,
            overall: overall.unwrap_or(Health::Operational),
            services: self.policy.services.iter().map(service).collect(),
            active: active.into_iter().map(public).collect(),
            recent: recent.map(public).collect(),
        })
    }

    /// Tells whenever anything happened, on whichever replica.
    pub fn changes(&self) -> watch::Receiver<Option<Uuid>> {
        self.changes.subscribe()
    }

    /// Looks for changes until `stop`. One look serves every page that is open here.
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
