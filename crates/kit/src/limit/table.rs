//! The clients known to this process. No I/O, and the time is an argument.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::shared::Lease;
use super::{Client, Policy, Standing};
use crate::config::Quota;
use crate::redis::Unavailable;

/// Lifetime of a lease. While one process holds it, the others cannot use it.
const LEASE_LIFE: Duration = Duration::from_secs(1);

const SHARDS: usize = 16;

/// Clients per shard: some 100,000 in all, a few megabytes.
const CLIENTS: usize = 6_250;

type Key = (Policy, Client);

/// Bounded: when too many clients come at once, entries are dropped; Redis still has the counts.
#[derive(Default)]
pub(super) struct Table {
    shards: [Mutex<HashMap<Key, Entry>>; SHARDS],
    hasher: RandomState,
}

/// The result of counting locally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spend {
    Known(Standing),
    /// Redis must be asked, and gets back the unused rest of an expired lease.
    Ask {
        left_over: u32,
    },
}

#[derive(Clone, Copy)]
struct Entry {
    /// Taken from Redis and not yet used.
    leased: u32,
    lease_ends: Instant,
    /// The requests left in Redis at the last command.
    free: u32,
    /// The time at which the shared bucket is full again.
    full_at: Instant,
    refused_until: Instant,
    /// The time at which the process's own bucket, used without Redis, is full again.
    own_full_at: Instant,
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self {
            leased: 0,
            lease_ends: now,
            free: 0,
            full_at: now,
            refused_until: now,
            own_full_at: now,
        }
    }

    /// Returns true when removing the entry changes no answer.
    fn is_idle(&self, now: Instant) -> bool {
        self.full_at <= now && self.lease_ends <= now && self.own_full_at <= now
    }

    fn standing(&self, now: Instant) -> Standing {
        let wait = self.refused_until.saturating_duration_since(now);
        Standing {
            remaining: self.leased.saturating_add(self.free),
            full_in: self.full_at.saturating_duration_since(now),
            refused_for: (!wait.is_zero()).then_some(wait),
        }
    }

    /// Counts one request against the process's own bucket.
    fn spend_own(&mut self, quota: &Quota, now: Instant) -> Standing {
        let (interval, full_at) = (quota.interval(), self.own_full_at.max(now));
        let room = (now + quota.period()).saturating_duration_since(full_at);
        let free = room.as_micros() / interval.as_micros().max(1);
        let admitted = free > 0;
        if admitted {
            self.own_full_at = full_at + interval;
        }
        Standing {
            remaining: u32::try_from(free.saturating_sub(1)).unwrap_or(u32::MAX),
            full_in: self.own_full_at.saturating_duration_since(now),
            refused_for: (!admitted).then(|| interval.saturating_sub(room)),
        }
    }
}

impl Table {
    /// Counts against the lease, or repeats a refusal.
    pub(super) fn spend(&self, key: Key, now: Instant) -> Spend {
        let mut shard = self.shard(key);
        let Some(entry) = shard.get_mut(&key) else { return Spend::Ask { left_over: 0 } };
        if now < entry.refused_until {
            return Spend::Known(entry.standing(now));
        }
        if now < entry.lease_ends && entry.leased > 0 {
            entry.leased -= 1;
            return Spend::Known(entry.standing(now));
        }
        Spend::Ask { left_over: std::mem::take(&mut entry.leased) }
    }

    /// Counts the request with Redis's answer, or locally without one.
    pub(super) fn settle(
        &self,
        key: Key,
        quota: &Quota,
        lease: Result<Lease, Unavailable>,
        now: Instant,
    ) -> Standing {
        let mut shard = self.shard(key);
        if shard.len() >= CLIENTS && !shard.contains_key(&key) {
            shard.retain(|_, entry| !entry.is_idle(now));
            if shard.len() >= CLIENTS {
                shard.clear();
            }
        }
        let entry = shard.entry(key).or_insert_with(|| Entry::new(now));
        let Ok(lease) = lease else { return entry.spend_own(quota, now) };
        entry.free = lease.free;
        entry.full_at = now + lease.full_in;
        match lease.taken.checked_sub(1) {
            Some(rest) => {
                entry.leased = entry.leased.saturating_add(rest);
                entry.lease_ends = now + LEASE_LIFE;
            }
            // Requests leased by a concurrent request are used first.
            None if entry.leased > 0 => entry.leased -= 1,
            None => {
                let room = quota.period().saturating_sub(lease.full_in);
                let wait = quota.interval().saturating_sub(room);
                entry.refused_until = now + wait.max(Duration::from_millis(1));
            }
        }
        entry.standing(now)
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, HashMap<Key, Entry>> {
        let shard = &self.shards[self.hasher.hash_one(key) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = (Policy::Default, Client::Member(uuid::Uuid::nil()));

    fn alone(table: &Table, quota: &Quota, now: Instant) -> Standing {
        assert!(matches!(table.spend(KEY, now), Spend::Ask { .. }));
        table.settle(KEY, quota, Err(Unavailable), now)
    }

    #[test]
    fn alone_a_process_lets_a_quota_through_and_then_what_comes_back() {
        let (table, quota) = (Table::default(), "3/3s".parse().unwrap());
        let start = Instant::now();
        for remaining in [2, 1, 0] {
            let standing = alone(&table, &quota, start);
            assert_eq!((standing.remaining, standing.refused_for), (remaining, None));
        }
        let second = Duration::from_secs(1);
        assert_eq!(alone(&table, &quota, start).refused_for, Some(second));
        assert_eq!(alone(&table, &quota, start).full_in, 3 * second);
        assert_eq!(alone(&table, &quota, start + second).refused_for, None);
        assert!(alone(&table, &quota, start + second).refused_for.is_some());
    }

    #[test]
    fn a_lease_is_spent_here_and_what_is_left_is_given_back() {
        let (table, quota) = (Table::default(), "300/1m".parse().unwrap());
        let now = Instant::now();
        let lease = Lease { taken: 3, free: 297, full_in: Duration::from_millis(600) };
        assert_eq!(table.spend(KEY, now), Spend::Ask { left_over: 0 });
        assert_eq!(table.settle(KEY, &quota, Ok(lease), now).remaining, 299);
        assert!(matches!(table.spend(KEY, now), Spend::Known(s) if s.remaining == 298));
        assert_eq!(table.spend(KEY, now + LEASE_LIFE), Spend::Ask { left_over: 1 });
        assert_eq!(table.spend(KEY, now + LEASE_LIFE), Spend::Ask { left_over: 0 });
    }

    #[test]
    fn a_refusal_is_remembered_for_as_long_as_it_holds() {
        let (table, quota) = (Table::default(), "60/1m".parse().unwrap());
        let now = Instant::now();
        let empty = Lease { taken: 0, free: 0, full_in: Duration::from_mins(1) };
        let refused = table.settle(KEY, &quota, Ok(empty), now);
        assert_eq!(refused.refused_for, Some(Duration::from_secs(1)));
        assert!(matches!(table.spend(KEY, now), Spend::Known(s) if s == refused));
        let later = now + Duration::from_secs(1);
        assert_eq!(table.spend(KEY, later), Spend::Ask { left_over: 0 });
    }

    #[test]
    fn a_million_clients_do_not_fill_the_memory() {
        let (table, quota) = (Table::default(), "1/1h".parse().unwrap());
        let now = Instant::now();
        for n in 0..300_000_u32 {
            let key = (Policy::Default, Client::at(std::net::Ipv4Addr::from(n).into()));
            table.settle(key, &quota, Err(Unavailable), now);
        }
        let held: usize = table.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(held <= SHARDS * CLIENTS, "{held}");
    }
}
