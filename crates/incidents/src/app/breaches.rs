use kit::{command, postgres};

use super::{Error, Incidents};
use crate::metrics;
use crate::store::{incidents, story};

impl Incidents {
    /// Marks what nobody responded to, or did not end, by the time it was due; each once. Returns how
    /// many there were.
    pub async fn mark_breaches(&self) -> Result<usize, Error> {
        let incidents = self.clone();
        command::run(async move {
            let now = incidents.clock.now();
            let mut tx = postgres::begin(&incidents.db).await?;
            let breaches = incidents::mark_breaches(&mut tx, now).await?;
            let story: Vec<_> = breaches
                .iter()
                .map(|(id, response)| {
                    let text = if *response {
                        "Nobody has responded in time: escalated"
                    } else {
                        "Not resolved in time: escalated"
                    };
                    incidents.happened(*id, now, "breach", text.to_owned())
                })
                .collect();
            story::tell(&mut tx, &story, now).await?;
            postgres::commit(tx).await?;
            metrics::breached(&breaches);
            Ok(breaches.len())
        })
        .await
    }
}
