use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use kit::outbox::{self, Event};
use kit::{command, postgres};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Incidents};
use crate::domain::{Channel, News, Notice, Severity, repeat_after};
use crate::store::{clocks, notices};

/// From so many incidents on, one message tells of all of them: a storm must not bury its own news.
const STORM: usize = 10;

impl Incidents {
    /// Stores the notice for each of the channels, in the transaction of what it tells of.
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
                // Ordered within a channel, and held up by no other.
                aggregate: format!("channel {}", channel.as_str()),
                kind: format!("incident.{}", notice.news.as_str()),
                payload: serde_json::to_value(notice).unwrap_or_default(),
                occurred_at: now,
            };
            outbox::publish(tx, &event).await?;
        }
        Ok(())
    }

    /// One notice each, or one of all when there are too many.
    pub(super) async fn announce_all(
        &self,
        tx: &mut PgConnection,
        notices: Vec<(Severity, Notice)>,
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

    /// Tells again of each P0 that nobody has acknowledged, ever more rarely. Returns how many.
    pub async fn remind(&self) -> Result<usize, Error> {
        let incidents = self.clone();
        command::run(async move {
            let now = incidents.clock.now();
            let mut tx = postgres::begin(&incidents.db).await?;
            let mut told = 0;
            for waiting in clocks::unanswered(&mut tx).await? {
                let pause = repeat_after(incidents.policy.repeat, waiting.reminders);
                if now < waiting.told_at + pause {
                    continue;
                }
                let minutes = (now - waiting.opened_at).num_minutes();
                let notice = waiting.notice(format!(
                    "Open for {minutes} minutes, and nobody has acknowledged it.\n\
                     Acknowledge it on its page, and this stops."
                ));
                let channels = incidents.policy.routes.of(Severity::P0);
                incidents.announce(&mut tx, &channels, &notice, now).await?;
                clocks::reminded(&mut tx, waiting.id, now).await?;
                told += 1;
            }
            postgres::commit(tx).await?;
            Ok(told)
        })
        .await
    }

    /// Whether a channel has taken this message already.
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

/// A P0 that waits for somebody.
pub(crate) struct Unanswered {
    pub(crate) id: Uuid,
    pub(crate) number: String,
    pub(crate) title: String,
    pub(crate) service: String,
    pub(crate) opened_at: DateTime<Utc>,
    /// When people heard of it the last time.
    pub(crate) told_at: DateTime<Utc>,
    pub(crate) reminders: i32,
}

impl Unanswered {
    fn notice(&self, text: String) -> Notice {
        Notice {
            news: News::Unanswered,
            incident: self.id,
            number: self.number.clone(),
            severity: Severity::P0.as_str().to_owned(),
            title: self.title.clone(),
            service: self.service.clone(),
            text,
        }
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
