//! The rate of messages, of all replicas together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kit::redis::Redis;
use tokio::time::Instant;

/// Returns the wait until the next free turn, or -1 when it is longer than the caller may wait. Uses the server's clock,
/// so that replicas agree; `%.0f`, because Lua would round the number; and GETRANGE, because the user may not GET.
const TURN: &str = "
local now = redis.call('TIME')
local micros = now[1] * 1000000 + now[2]
local turn = tonumber(redis.call('GETRANGE', KEYS[1], 0, 20)) or 0
if turn < micros then turn = micros end
local wait = turn - micros
if wait > tonumber(ARGV[2]) then return -1 end
redis.call('SET', KEYS[1], string.format('%.0f', turn + ARGV[1]), 'PX', 60000)
return wait
";

/// The longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// An even rate of messages. Cheap to clone.
#[derive(Clone)]
pub struct Pace {
    redis: Redis,
    step: Duration,
    /// The next turn while Redis is away. Each replica then sends at a quarter of the rate, so that four together stay
    /// within it.
    alone: Arc<Mutex<Instant>>,
}

impl Pace {
    pub fn new(redis: Redis, per_second: u32) -> Self {
        let step = Duration::from_secs(1) / per_second.max(1);
        Self { redis, step, alone: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Returns the wait before the next message; `None` when too many messages wait already, and this one should come
    /// later.
    pub async fn turn(&self) -> Option<Duration> {
        let (step, patience) = (self.step.as_micros(), PATIENCE.as_micros());
        let (step, patience) = (step.to_string(), patience.to_string());
        let arguments = [step.as_bytes(), patience.as_bytes()];
        match self.redis.eval::<i64>(TURN, "line:turn", &arguments).await {
            // A wrong number in Redis must not delay messages longer.
            Ok(wait) => {
                u64::try_from(wait).ok().map(Duration::from_micros).filter(|wait| *wait <= PATIENCE)
            }
            Err(_) => self.turn_alone(),
        }
    }

    fn turn_alone(&self) -> Option<Duration> {
        let mut turn = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let next = (*turn).max(now);
        let wait = next - now;
        if wait > PATIENCE {
            return None;
        }
        *turn = next + 4 * self.step;
        Some(wait)
    }
}
