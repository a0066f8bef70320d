//! Rate limits per client. They are counted in Redis for all replicas together; while Redis is unavailable
//! each process counts alone.
//!
//! A quota is a bucket that refills evenly (GCRA). A process takes a hundredth of a quota at a time, spends
//! it within a second and returns the rest. Asking Redis on every request would cost 41 µs of processor time,
//! twice as much as all layers of a request together. A refusal is remembered, so that a flood costs Redis
//! nothing.

mod shared;
mod table;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use observability::metrics::{self, IntCounterVec};
use tokio::time::Instant;
use uuid::Uuid;

use self::table::{Spend, Table};
use crate::config::Quota;
use crate::redis::Redis;

static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "rate_limit_refused_total",
        "Requests refused because their client had used up its quota.",
        &["policy"],
    )
});

/// The quota against which a request counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Policy {
    Default,
    /// Routes where secrets can be guessed, or emails be caused.
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

/// Requests of one client are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    Member(Uuid),
    Address(IpAddr),
}

impl Client {
    /// Returns the client of an address. An IPv6 client is a /64, which usually has one owner.
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

/// The state of a client's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Number of requests the client may make now.
    pub(crate) remaining: u32,
    /// Time until the whole quota is available again.
    pub(crate) full_in: Duration,
    /// Set when this request is refused: the time until the next one is allowed.
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

    /// Counts a request. Waits for Redis at most for the time limit of one command.
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
