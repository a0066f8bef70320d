//! The counters in Redis, shared by all replicas.

use std::time::Duration;

use super::{Client, Policy};
use crate::config::Quota;
use crate::redis::{Redis, Unavailable};

/// Requests that a process may count locally, and the state of the shared bucket after they were taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) taken: u32,
    /// Requests left for all processes.
    pub(super) free: u32,
    pub(super) full_in: Duration,
}

/// GCRA. The key holds the time at which the bucket is full again, in microseconds of Redis's clock. The
/// script returns ARGV[4] requests, then takes up to ARGV[3]. A malformed value counts as a full bucket, and
/// no debt is longer than a period, so that a clock set back blocks nobody.
const TAKE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, period = tonumber(ARGV[1]), tonumber(ARGV[2])
local full = tonumber(redis.call('GETRANGE', KEYS[1], 0, 31)) or now
if full ~= full then full = now end
full = math.min(math.max(full - ARGV[4] * interval, now), now + period)
local free = math.floor((now + period - full) / interval)
local taken = math.min(free, tonumber(ARGV[3]))
full = full + taken * interval
if full > now then
    local value = string.format('%.0f', full)
    redis.call('SET', KEYS[1], value, 'PX', math.ceil((full - now) / 1000) + 1)
end
return {taken, free - taken, full - now}";

pub(super) async fn take(
    redis: &Redis,
    (policy, client): (Policy, Client),
    quota: &Quota,
    left_over: u32,
) -> Result<Lease, Unavailable> {
    let key = format!("limit:{}:{}", policy.name(), client.name());
    let arguments = [
        quota.interval().as_micros().to_string(),
        quota.period().as_micros().to_string(),
        quota.lease().to_string(),
        left_over.to_string(),
    ];
    let arguments = arguments.each_ref().map(String::as_bytes);
    let (taken, free, full_in): (i64, i64, i64) = redis.eval(TAKE, &key, &arguments).await?;
    // Redis is not trusted: no value in it allows more than the quota.
    let within = |n: i64, most: u32| u32::try_from(n.max(0)).unwrap_or(most).min(most);
    Ok(Lease {
        taken: within(taken, quota.lease()),
        free: within(free, quota.requests()),
        full_in: Duration::from_micros(full_in.max(0).unsigned_abs()).min(quota.period()),
    })
}
