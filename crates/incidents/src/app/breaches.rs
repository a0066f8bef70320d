use kit::{command, postgres};

use super::{Error, Incidents};
use crate::domain::{News, Notice, Severity};
use crate::metrics;
use crate::store::clocks::{self, Breach};
use crate::store::story;

impl Incidents {
    /// Marks what nobody responded to, or did not end, by the time it was due, and escalates it; each
    /// once. Returns how many there were.
    pub async fn mark_breaches(&self) -> Result<usize, Error> {
        let incidents = self.clone();
        command::run(async move {
            let now = incidents.clock.now();
            let mut tx = postgres::begin(&incidents.db).await?;
            let breaches = clocks::mark_breaches(&mut tx, now).await?;
            let story: Vec<_> = breaches
                .iter()
                .map(|b| incidents.happened(b.id, now, "breach", words(b).to_owned()))
                .collect();
            story::tell(&mut tx, &story, now).await?;
            for breach in &breaches {
                let severity = breach.severity.parse().unwrap_or(Severity::P0);
                let channels = incidents.policy.routes.escalated(severity);
                incidents.announce(&mut tx, &channels, &notice(breach), now).await?;
            }
            postgres::commit(tx).await?;
            metrics::breached(&breaches);
            Ok(breaches.len())
        })
        .await
    }
}

fn words(breach: &Breach) -> &'static str {
    if breach.response {
        "Nobody has responded in time: escalated"
    } else {
        "Not resolved in time: escalated"
    }
}

fn notice(breach: &Breach) -> Notice {
    Notice {
        news: News::Late,
        incident: breach.id,
        number: breach.number.clone(),
        severity: breach.severity.clone(),
        title: breach.title.clone(),
        service: breach.service.clone(),
        text: format!("{}.", words(breach)),
    }
}
