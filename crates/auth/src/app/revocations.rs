use std::collections::HashMap;
use std::time::Duration;

use kit::revocation::{Publisher, REMEMBERED};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Auth, Error};
use crate::store::sessions;

/// How late the feed may be, at most four times a second.
const PERIOD: Duration = Duration::from_millis(250);

/// How far back each look goes: longer than a transaction that ends a session can take, because its row
/// is seen only after its commit.
const LOOK_BACK: Duration = Duration::from_secs(15);

impl Auth {
    /// Says in the feed which sessions have ended, and says it again when Redis has lost it. The database
    /// is asked, and not whoever ended the session: so nothing is lost when that process dies, and every
    /// replica of auth hears of it with Redis away, too.
    pub(super) async fn publish_revocations(&self, stop: &CancellationToken) {
        let mut publisher = Publisher::new(&self.redis, self.clock.id());
        let mut published = HashMap::new();
        let mut tick = interval(PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let Ok(fresh) = self.recently_ended(&mut published).await else {
                published.clear(); // what we missed may be older than the next look would go back
                continue;
            };
            self.verifier.revoke(&fresh);
            if !self.redis.is_enabled() || publisher.publish(&fresh).await.is_err() {
                continue; // it is behind now, and catches up as soon as Redis is there
            }
            if publisher.is_behind() {
                let Ok(all) = self.ended_within(REMEMBERED).await else { continue };
                if publisher.restore(&all).await.is_ok() {
                    tracing::info!(sessions = all.len(), "the revocation feed is complete again");
                }
            }
        }
    }

    /// Sessions that ended a moment ago and were not among the last ones.
    async fn recently_ended(
        &self,
        published: &mut HashMap<Uuid, Instant>,
    ) -> Result<Vec<Uuid>, Error> {
        let first = published.is_empty();
        let back = if first { REMEMBERED } else { LOOK_BACK };
        let ended = self.ended_within(back).await?;
        published.retain(|_, at| at.elapsed() < REMEMBERED);
        let now = Instant::now();
        let fresh: Vec<_> = ended.into_iter().filter(|id| !published.contains_key(id)).collect();
        published.extend(fresh.iter().map(|id| (*id, now)));
        Ok(fresh)
    }

    async fn ended_within(&self, back: Duration) -> Result<Vec<Uuid>, Error> {
        let mut conn = self.db.acquire().await?;
        Ok(sessions::ended_within(&mut conn, back).await?)
    }
}
