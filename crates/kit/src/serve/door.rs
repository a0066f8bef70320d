//! A port that lets in as many connections as there is room for, and of one address only a share.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use observability::metrics::{self, IntCounter};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use crate::config::{Limits, Proxy};
use crate::limit;

/// After the machine refused us a socket, for want of file descriptors as a rule.
const PAUSE: Duration = Duration::from_millis(100);

static CROWDED: LazyLock<IntCounter> = LazyLock::new(|| {
    metrics::counter(
        "connections_refused_total",
        "Connections that were closed at once because their address had too many.",
    )
});

/// Accepts the connections of one port.
pub(super) struct Door {
    listener: TcpListener,
    /// More than this many wait in the kernel's queue, where they cost us nothing.
    room: Arc<Semaphore>,
    shares: Option<Shares>,
}

/// A connection, and its place until it is dropped.
pub(super) struct Visitor {
    pub(super) socket: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) place: Place,
}

/// The share of the server that a connection takes up, until it is dropped.
pub(super) struct Place {
    _port: OwnedSemaphorePermit,
    _share: Option<Share>,
}

/// How many connections each address has. Of IPv6 a /64, which one party has to itself.
#[derive(Clone)]
struct Shares {
    most: usize,
    /// They speak for many clients.
    proxies: Arc<[Proxy]>,
    taken: Arc<Mutex<HashMap<limit::Client, usize>>>,
}

struct Share {
    shares: Shares,
    client: limit::Client,
}

impl Door {
    pub(super) fn new(listener: TcpListener, limits: &Limits) -> Self {
        let room = Arc::new(Semaphore::new(limits.max_connections));
        Self { listener, room, shares: None }
    }

    /// For everybody: an address has only a share of the connections, unless it is a proxy of ours.
    #[must_use]
    pub(super) fn shared(self, limits: &Limits, proxies: &[Proxy]) -> Self {
        LazyLock::force(&CROWDED);
        let (most, proxies) = (limits.max_connections_per_address, proxies.into());
        Self { shares: Some(Shares { most, proxies, taken: Arc::default() }), ..self }
    }

    /// The next connection, as soon as there is room for it.
    pub(super) async fn next(&self) -> Visitor {
        loop {
            match self.accept().await {
                Ok(Some(visitor)) => return visitor,
                Ok(None) => CROWDED.inc(),
                Err(error) => {
                    tracing::warn!(error = %error, "cannot accept a connection");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Nothing when the address of the connection has too many.
    async fn accept(&self) -> io::Result<Option<Visitor>> {
        let port = self.room.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (socket, peer) = self.listener.accept().await?;
        let share = match &self.shares {
            Some(shares) if !shares.is_exempt(peer.ip()) => match shares.take(peer.ip()) {
                Some(share) => Some(share),
                None => return Ok(None),
            },
            _ => None,
        };
        // Answers are small and whole: waiting for more to send with them only delays them.
        let _ = socket.set_nodelay(true);
        Ok(Some(Visitor { socket, peer, place: Place { _port: port, _share: share } }))
    }
}

impl Shares {
    fn is_exempt(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|proxy| proxy.contains(address))
    }

    fn take(&self, address: IpAddr) -> Option<Share> {
        let client = limit::Client::at(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.get(&client).copied().unwrap_or_default();
        if count >= self.most {
            return None;
        }
        taken.insert(client, count + 1);
        Some(Share { shares: self.clone(), client })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.client)),
        }
    }
}
