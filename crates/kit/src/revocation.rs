//! The feed of ended sessions: auth publishes them, and every service's [`Verifier`](crate::caller::Verifier)
//! refuses their tokens within a second.
//!
//! The feed is a stream in Redis, read five times a second. If Redis loses it, services keep what they have
//! read, and auth notices and publishes again every session that still matters. A session stops mattering
//! when its last token expires, after five minutes; that is the longest a logout can take without Redis.
//!
//! A stream instead of a subscription, so that a reader catches up after an interruption. Polling instead of
//! blocking, so that the feed shares the connection, the timeout and the breaker of all commands.

use std::sync::LazyLock;
use std::time::Duration;

use observability::metrics::{self, IntGauge};
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

pub use crate::caller::REMEMBERED;
use crate::caller::Verifier;
use crate::redis::{Redis, Unavailable};

const POLL: Duration = Duration::from_millis(200);

/// Maximum entries per command, so that none takes long.
const BATCH: usize = 500;

/// The owner and the name of the stream. The braces keep the two keys in one cluster slot.
const OWNER: &str = "auth";
const STREAM: &str = "{revocations}";

static UP: LazyLock<IntGauge> = LazyLock::new(|| {
    metrics::gauge("revocation_feed_up", "1 while the feed of ended sessions can be read.")
});

/// Adds sessions, and returns the entries before and after. A missing epoch is created: an unknown epoch
/// means that the stream was lost.
const PUBLISH: &str = "
local epoch = KEYS[1] .. ':epoch'
redis.call('SET', epoch, ARGV[1], 'NX')
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local before = newest[1] and newest[1][1] or '0-0'
local after = before
local oldest = string.format('%.0f', redis.call('TIME')[1] * 1000 - ARGV[2])
for i = 3, #ARGV do
    after = redis.call('XADD', KEYS[1], 'MINID', '~', oldest, '*', 's', ARGV[i])
end
return {redis.call('GETRANGE', epoch, 0, 99), before, after}";

/// Returns the entries after a position; all entries if the epoch has changed.
const READ: &str = "
local epoch = redis.call('GETRANGE', KEYS[1] .. ':epoch', 0, 99)
local from = '(' .. ARGV[2]
if epoch ~= ARGV[1] or ARGV[2] == '' then from = '-' end
return {epoch, redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[3])}";

/// Publishes ended sessions. Used by auth.
pub struct Publisher {
    redis: Redis,
    id: Uuid,
    /// Number of publications. With `id` it makes a new epoch's name.
    turn: u64,
    epoch: String,
    last: (u64, u64),
    behind: bool,
}

impl Publisher {
    /// Creates a publisher; `id` is unique to this process.
    pub fn new(redis: &Redis, id: Uuid) -> Self {
        Self {
            redis: redis.of(OWNER),
            id,
            turn: 0,
            epoch: String::new(),
            last: (0, 0),
            behind: true,
        }
    }

    /// Returns true when Redis may lack published sessions. Then [`Publisher::restore`] is due.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Publishes ended sessions to every service.
    pub async fn publish(&mut self, sessions: &[Uuid]) -> Result<(), Unavailable> {
        let mut rest = sessions;
        loop {
            let (batch, later) = rest.split_at(rest.len().min(BATCH));
            self.send(batch).await.inspect_err(|_| self.behind = true)?;
            rest = later;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Publishes again all sessions that still matter, after Redis has lost them.
    pub async fn restore(&mut self, sessions: &[Uuid]) -> Result<(), Unavailable> {
        self.behind = false;
        self.publish(sessions).await
    }

    async fn send(&mut self, sessions: &[Uuid]) -> Result<(), Unavailable> {
        let remembered = REMEMBERED.as_millis().to_string();
        let names: Vec<String> = sessions.iter().map(Uuid::to_string).collect();
        self.turn += 1;
        let candidate = format!("{}/{}", self.id, self.turn);
        let mut arguments = vec![candidate.as_bytes(), remembered.as_bytes()];
        arguments.extend(names.iter().map(String::as_bytes));
        let (epoch, before, after): (String, String, String) =
            self.redis.eval(PUBLISH, STREAM, &arguments).await?;
        // Another epoch: Redis was emptied. The same epoch with fewer entries: an older copy was restored.
        if epoch != self.epoch || entry(&before) < self.last {
            self.behind = true;
        }
        (self.epoch, self.last) = (epoch, entry(&after));
        Ok(())
    }
}

/// Parses an entry's id, `milliseconds-number`.
fn entry(id: &str) -> (u64, u64) {
    let (time, number) = id.split_once('-').unwrap_or((id, "0"));
    (time.parse().unwrap_or(0), number.parse().unwrap_or(0))
}

/// A reader's position in the feed.
#[derive(Default)]
struct Position {
    epoch: String,
    last: String,
}

type Entries = Vec<(String, Vec<String>)>;

impl Position {
    /// Returns the sessions that have ended since the last read.
    async fn read(&mut self, redis: &Redis) -> Result<Vec<Uuid>, Unavailable> {
        let count = BATCH.to_string();
        let arguments = [self.epoch.as_bytes(), self.last.as_bytes(), count.as_bytes()];
        let (epoch, entries): (String, Entries) = redis.eval_ro(READ, STREAM, &arguments).await?;
        self.epoch = epoch;
        if let Some((last, _)) = entries.last() {
            self.last.clone_from(last);
        }
        // Malformed entries are skipped.
        let sessions = entries.iter().filter_map(|(_, fields)| fields.get(1)?.parse().ok());
        Ok(sessions.collect())
    }
}

impl Verifier {
    /// Refuses tokens of ended sessions until the verifier is dropped. Without Redis it learns of none. Must
    /// be called inside a tokio runtime.
    #[must_use]
    pub fn following(self, redis: &Redis) -> Self {
        let redis = redis.of(OWNER);
        UP.set(0);
        if redis.is_enabled() {
            let weak = self.downgrade();
            tokio::spawn(async move {
                let mut position = Position::default();
                let mut tick = interval(POLL);
                tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    tick.tick().await;
                    let Some(verifier) = weak() else { return };
                    UP.set(i64::from(follow(&verifier, &mut position, &redis).await.is_ok()));
                }
            });
        }
        self
    }
}

/// Reads all new entries.
async fn follow(
    verifier: &Verifier,
    position: &mut Position,
    redis: &Redis,
) -> Result<(), Unavailable> {
    loop {
        let sessions = position.read(redis).await?;
        verifier.revoke(&sessions);
        if sessions.len() < BATCH {
            return Ok(());
        }
    }
}
