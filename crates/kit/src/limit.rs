//! How much one client may ask. Counted in Redis for all replicas together; while Redis is away each
//! process counts for itself, so that nobody is let in without a limit and nobody is kept out by ours.
//!
//! A quota is a bucket that refills evenly (GCRA). Of a large quota a process takes a hundredth at a
//! time, spends it within a second and gives back what is left, so that a busy client costs Redis far
//! less than a command per request. A refusal is remembered: a flood costs Redis nothing.

mod quota;
mod shared;
mod table;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use observability::metrics::{self, IntCounterVec};
use tokio::time::Instant;
use uuid::Uuid;

pub use self::quota::Quota;
use self::table::{Spend, Table};
use crate::redis::Redis;

static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "rate_limit_refused_total",
        "Requests refused because their client had asked too much.",
        &["policy"],
    )
});

/// Which quota a request counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Policy {
    Default,
    /// Routes where secrets can be guessed, or mail be caused.
    Strict,
}

impl Policy {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Strict => "strict",
        }
    }
}

/// Who is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    Member(Uuid),
    Address(IpAddr),
}

impl Client {
    /// Of IPv6 the /64, which one party has to itself.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
            v4 => v4,
        })
    }

    fn name(self) -> String {
        match self {
            Self::Member(id) => id.to_string(),
            Self::Address(address) => address.to_string(),
        }
    }
}

/// What a client is told about its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// How many more requests it may make now.
    pub(crate) remaining: u32,
    /// When the whole quota is there again.
    pub(crate) full_in: Duration,
    /// Set when this request is one too many: when the next one is none.
    pub(crate) refused_for: Option<Duration>,
}

/// Counts requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Limiter(Arc<Inner>);

struct Inner {
    redis: Redis,
    default: Quota,
    strict: Quota,
    table: Table,
}

impl Limiter {
    pub(crate) fn new(redis: Redis, default: Quota, strict: Quota) -> Self {
        for policy in [Policy::Default, Policy::Strict] {
            REFUSED.with_label_values(&[policy.name()]);
        }
        Self(Arc::new(Inner { redis, default, strict, table: Table::default() }))
    }

    pub(crate) fn quota(&self, policy: Policy) -> Quota {
        match policy {
            Policy::Default => self.0.default,
            Policy::Strict => self.0.strict,
        }
    }

    /// Counts a request. Waits for Redis at most as long as any command may take.
    pub(crate) async fn count(&self, policy: Policy, client: Client) -> Standing {
        let (quota, inner) = (self.quota(policy), &*self.0);
        let key = (policy, client);
        let standing = match inner.table.spend(key, Instant::now()) {
            Spend::Known(standing) => standing,
            Spend::Ask { left_over } => {
                let lease = Box::pin(shared::take(&inner.redis, key, &quota, left_over)).await;
                inner.table.settle(key, &quota, lease, Instant::now())
            }
        };
        if standing.refused_for.is_some() {
            REFUSED.with_label_values(&[policy.name()]).inc();
        }
        standing
    }
}
