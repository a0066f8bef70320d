use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use kit::outbox::{self, Event};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Incidents};
use crate::domain::{Channel, News, Notice, Severity, repeat_after};
use crate::store::notices;
use crate::store::targets::{self, Unanswered};

/// The number of notices above which one message stands for all: a storm must not bury its own news.
const STORM: usize = 10;

impl Incidents {
    /// Stores a notice for each of the channels, in the transaction of its event.
    pub(super) async fn announce(
        &self,
        tx: &mut PgConnection,
        channels: &BTreeSet<Channel>,
        notice: &Notice,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        for channel in channels {
            let event = Event {
                id: self.clock.id(),
                // Messages are ordered within a channel, and no channel delays another.
                aggregate: format!("channel {}", channel.as_str()),
                kind: format!("incident.{}", notice.news.as_str()),
                payload: serde_json::to_value(notice).unwrap_or_default(),
                occurred_at: now,
            };
            outbox::publish(tx, &event).await?;
        }
        Ok(())
    }

    /// Stores each notice, or one digest when there are too many.
    pub(super) async fn announce_all(
        &self,
        tx: &mut PgConnection,
        notices: &[(Severity, Notice)],
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        for severity in Severity::ALL {
            let of_it: Vec<_> = notices.iter().filter(|(s, _)| *s == severity).collect();
            let channels = self.policy.routes.of(severity);
            if of_it.len() > STORM {
                let all: Vec<_> = of_it.iter().map(|(_, notice)| notice).collect();
                self.announce(tx, &channels, &digest(&all), now).await?;
                continue;
            }
            for (_, notice) in of_it {
                self.announce(tx, &channels, notice, now).await?;
            }
        }
        Ok(())
    }

    /// Reminds of each unacknowledged P0, with growing pauses. Returns the number of reminders.
    pub async fn remind(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let mut tx = postgres::begin(&self.db).await?;
        let mut reminded = 0;
        for waiting in targets::unanswered(&mut tx).await? {
            if now < waiting.told_at + repeat_after(self.policy.repeat, waiting.reminders) {
                continue;
            }
            let channels = self.policy.routes.of(Severity::P0);
            self.announce(&mut tx, &channels, &reminder(&waiting, now), now).await?;
            targets::reminded(&mut tx, waiting.id, now).await?;
            reminded += 1;
        }
        postgres::commit(tx).await?;
        Ok(reminded)
    }

    /// True when a channel has accepted the message before.
    pub(crate) async fn was_told(&self, notice: Uuid) -> Result<bool, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        Ok(notices::was_sent(&mut conn, notice).await?)
    }

    pub(crate) async fn record_told(
        &self,
        id: Uuid,
        channel: Channel,
        notice: &Notice,
    ) -> Result<(), Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let (now, news) = (self.clock.now(), notice.news.as_str());
        Ok(notices::sent(&mut conn, id, notice.incident, channel.as_str(), news, now).await?)
    }
}

fn reminder(waiting: &Unanswered, now: DateTime<Utc>) -> Notice {
    let minutes = (now - waiting.opened_at).num_minutes();
    Notice {
        news: News::Unanswered,
        incident: waiting.id,
        number: waiting.number.clone(),
        severity: Severity::P0,
        title: waiting.title.clone(),
        service: waiting.service.clone(),
        text: format!(
            "Open for {minutes} minutes, and not acknowledged.\n\
             Acknowledge it on its page to stop the reminders."
        ),
    }
}

fn digest(all: &[&Notice]) -> Notice {
    let (first, last) = (all[0], all[all.len() - 1]);
    let mut lines: Vec<_> =
        all.iter().take(STORM).map(|n| format!("{}: {}", n.number, n.title)).collect();
    lines.push(format!("… and {} more, on the console.", all.len() - lines.len()));
    Notice {
        number: format!("{} to {}", first.number, last.number),
        title: format!("{} incidents at once", all.len()),
        text: lines.join("\n"),
        ..first.clone()
    }
}
