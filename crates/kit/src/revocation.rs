//! Which sessions have ended: auth says so, and every service's [`Verifier`](crate::caller::Verifier)
//! refuses their tokens within a second.
//!
//! The way is a stream in Redis, read five times a second. Redis may lose it: a service goes on with what
//! it has heard, and auth notices and says everything again that still matters. What matters ends by
//! itself, because a token lives for five minutes; so with Redis away that is how long a logout can take.
//!
//! A stream, and not a subscription: who was away for a moment reads what it missed. Polled, and not
//! blocked on: a poll shares the connection, the timeout and the breaker of every other command.

use std::sync::LazyLock;
use std::time::Duration;

use observability::metrics::{self, IntGauge};
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use crate::caller::Verifier;
use crate::redis::{Redis, Unavailable};

/// How long an ended session is remembered: longer than any access token lives, leeway included.
pub const REMEMBERED: Duration = Duration::from_mins(6);

const POLL: Duration = Duration::from_millis(200);

/// Entries per command, so that none takes long.
const BATCH: usize = 500;

/// Whose stream it is, and its name. The braces keep the two keys together in a cluster.
const OWNER: &str = "auth";
const STREAM: &str = "{revocations}";

static UP: LazyLock<IntGauge> = LazyLock::new(|| {
    metrics::gauge("revocation_feed_up", "1 while the feed of ended sessions can be read.")
});

/// Adds sessions, and says what was there before. The epoch is drawn when there is none: another one than
/// last time says that everything was lost.
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

/// What came after an entry; from the start in another epoch.
const READ: &str = "
local epoch = redis.call('GETRANGE', KEYS[1] .. ':epoch', 0, 99)
local from = '(' .. ARGV[2]
if epoch ~= ARGV[1] or ARGV[2] == '' then from = '-' end
return {epoch, redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[3])}";

/// Auth's end of the feed.
pub struct Publisher {
    redis: Redis,
    id: Uuid,
    /// How often we have published: with our id, what we would call a new epoch.
    turn: u64,
    epoch: String,
    last: (u64, u64),
    behind: bool,
}

impl Publisher {
    /// A publisher; `id` is this process's own.
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

    /// Whether Redis may lack sessions that were published before: then [`Publisher::restore`] is due.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Tells every service that these sessions have ended.
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

    /// Tells it again of all sessions that still matter, because Redis has forgotten.
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
        // Another epoch: emptied. The same with less in it: restored from an older copy.
        if epoch != self.epoch || entry(&before) < self.last {
            self.behind = true;
        }
        (self.epoch, self.last) = (epoch, entry(&after));
        Ok(())
    }
}

/// `milliseconds-number`, as Redis numbers entries.
fn entry(id: &str) -> (u64, u64) {
    let (time, number) = id.split_once('-').unwrap_or((id, "0"));
    (time.parse().unwrap_or(0), number.parse().unwrap_or(0))
}

/// Where a reader is in the feed.
#[derive(Default)]
struct Position {
    epoch: String,
    last: String,
}

type Entries = Vec<(String, Vec<String>)>;

impl Position {
    /// The sessions that ended since.
    async fn read(&mut self, redis: &Redis) -> Result<Vec<Uuid>, Unavailable> {
        let count = BATCH.to_string();
        let arguments = [self.epoch.as_bytes(), self.last.as_bytes(), count.as_bytes()];
        let (epoch, entries): (String, Entries) = redis.eval_ro(READ, STREAM, &arguments).await?;
        self.epoch = epoch;
        if let Some((last, _)) = entries.last() {
            self.last.clone_from(last);
        }
        // What is no session ends none.
        let sessions = entries.iter().filter_map(|(_, fields)| fields.get(1)?.parse().ok());
        Ok(sessions.collect())
    }
}

impl Verifier {
    /// Refuses tokens of ended sessions, as the feed tells of them, for as long as someone holds the
    /// verifier. Without Redis it never hears of any. To be called inside a tokio runtime.
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

/// Reads all there is.
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
