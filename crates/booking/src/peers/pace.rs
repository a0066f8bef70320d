//! How fast messages leave, all replicas together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kit::redis::Redis;
use tokio::time::Instant;

/// Gives out times, one after the other, and none that is further away than the caller may wait. The clock
/// is the server's, so that replicas agree; `%.0f` because Lua would round the number; GETRANGE because our user may
/// not GET.
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

/// The longest that a message waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many messages a second, in even steps. Cheap to clone.
#[derive(Clone)]
pub struct Pace {
    redis: Redis,
    step: Duration,
    /// When Redis is away, each replica goes by itself, at a quarter of the pace: four of them are still
    /// within it.
    alone: Arc<Mutex<Instant>>,
}

impl Pace {
    pub fn new(redis: Redis, per_second: u32) -> Self {
        let step = Duration::from_secs(1) / per_second.max(1);
        Self { redis, step, alone: Arc::new(Mutex::new(Instant::now())) }
    }

    /// How long to wait before the next message; `None` when so many wait already that this one should
    /// come again later.
    pub async fn turn(&self) -> Option<Duration> {
        let (step, patience) = (self.step.as_micros(), PATIENCE.as_micros());
        let (step, patience) = (step.to_string(), patience.to_string());
        let arguments = [step.as_bytes(), patience.as_bytes()];
        match self.redis.eval::<i64>(TURN, "line:turn", &arguments).await {
            // What comes from there is not believed further than it can hurt.
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
