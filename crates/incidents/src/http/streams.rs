//! A limit of open streams of changes. Each keeps a connection: without a limit, anybody could take all of them, and
//! Alertmanager would find none.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kit::error::Class;
use kit::{ApiError, Classify, Kind};
use thiserror::Error;

/// The number of streams from one address: enough for the pages of an office.
const EACH: usize = 32;

/// The period in which a page without a stream reloads by itself.
const LATER: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub(super) struct Streams(Arc<Bounds>);

struct Bounds {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One stream's place, until it is dropped.
pub(super) struct Place {
    bounds: Arc<Bounds>,
    from: IpAddr,
}

#[derive(Debug, Error)]
#[error("too many streams are open; try again later")]
struct Full;

impl Classify for Full {
    fn class(&self) -> Class {
        Kind::RateLimited.code("too_many_streams").retry_after(LATER)
    }
}

impl Streams {
    /// Limits the streams to a quarter of the connections; the others are for short requests.
    pub(super) fn among(connections: usize) -> Self {
        Self(Arc::new(Bounds { most: (connections / 4).max(1), open: Mutex::default() }))
    }

    /// Admits one more stream from this address, or fails when the limit is reached.
    pub(super) fn enter(&self, from: IpAddr) -> Result<Place, ApiError> {
        let from = network(from);
        let mut open = self.0.open();
        let here = open.get(&from).copied().unwrap_or(0);
        if here >= EACH || open.values().sum::<usize>() >= self.0.most {
            return Err(Full.into());
        }
        open.insert(from, here + 1);
        Ok(Place { bounds: self.0.clone(), from })
    }
}

impl Bounds {
    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.bounds.open();
        match open.get(&self.from).copied() {
            Some(here) if here > 1 => open.insert(self.from, here - 1),
            _ => open.remove(&self.from),
        };
    }
}

/// Returns the network of an address: whoever has one IPv6 address has all 2^64 of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_and_all_together_have_no_more_than_their_share() {
        let streams = Streams::among(160);
        let one = |address: &str| streams.enter(address.parse().unwrap());
        let first: Vec<_> = (0..40).map_while(|_| one("192.0.2.1").ok()).collect();
        let second: Vec<_> = (0..40).map_while(|n| one(&format!("2001:db8::{n}")).ok()).collect();
        assert_eq!((first.len(), second.len()), (32, 8));
        assert!(one("192.0.2.2").is_err());
        drop(second);
        let third: Vec<_> = (0..40).map_while(|_| one("::ffff:192.0.2.2").ok()).collect();
        assert_eq!(third.len(), 8);
        drop((first, third));
        assert!(streams.0.open().is_empty());
    }
}
