use kit::postgres;

use super::{Error, Incidents};
use crate::domain::{Entry, EventKind, News, Notice};
use crate::metrics;
use crate::store::targets::{self, Breach};

impl Incidents {
    /// Marks and escalates incidents that nobody responded to, or that are not resolved, in time; each once.
    /// Returns their number.
    pub async fn mark_breaches(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let mut tx = postgres::begin(&self.db).await?;
        let breaches = targets::mark_breaches(&mut tx, now).await?;
        let entry = |b: &Breach| Entry::by_system(b.id, now, EventKind::Breach, b.missed.words());
        let entries: Vec<_> = breaches.iter().map(entry).collect();
        self.record(&mut tx, &entries, now).await?;
        for breach in &breaches {
            let channels = self.policy.routes.escalated(breach.severity);
            self.announce(&mut tx, &channels, &notice(breach), now).await?;
        }
        postgres::commit(tx).await?;
        for breach in &breaches {
            metrics::breached(breach.missed);
        }
        Ok(breaches.len())
    }
}

fn notice(breach: &Breach) -> Notice {
    Notice {
        news: News::Late,
        incident: breach.id,
        number: breach.number.clone(),
        severity: breach.severity,
        title: breach.title.clone(),
        service: breach.service.clone(),
        text: format!("{}.", breach.missed.words()),
    }
}
