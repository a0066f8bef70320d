use std::collections::HashMap;
use std::time::Duration;

use kit::revocation::{Publisher, REMEMBERED};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Auth, Error};
use crate::store::sessions;

/// The delay of the feed.
const PERIOD: Duration = Duration::from_millis(250);

/// The period that each look covers: longer than a transaction that ends a session can take, because its row is seen
/// only after its commit.
const LOOK_BACK: Duration = Duration::from_secs(15);

impl Auth {
    /// Publishes ended sessions in the revocation feed, and again when Redis has lost it, until `stop`. It reads the
    /// database and is not told by the use cases: so a process that dies loses nothing, and every replica of auth learns
    /// of ended sessions without Redis, too.
    pub async fn publish_revocations(&self, stop: &CancellationToken) {
        let mut publisher = Publisher::new(&self.redis, self.clock.id());
        let mut published = HashMap::new();
        let mut tick = interval(PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let Ok(fresh) = self.recently_ended(&mut published).await else {
                published.clear(); // the sessions missed may be older than the next look covers
                continue;
            };
            self.verifier.revoke(&fresh);
            if !self.redis.is_enabled() || publisher.publish(&fresh).await.is_err() {
                continue; // the feed is behind now, and is restored when Redis is back
            }
            if publisher.is_behind() {
                let Ok(all) = self.ended_within(REMEMBERED).await else { continue };
                if publisher.restore(&all).await.is_ok() {
                    tracing::info!(sessions = all.len(), "the revocation feed is complete again");
                }
            }
        }
    }

    /// Returns the sessions that ended recently and were not returned before.
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
