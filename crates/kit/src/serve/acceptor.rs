//! Accepts connections: as many as the port has room for, and of one address only a share.

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

/// Pause after the machine refused a socket, usually for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

static REFUSED: LazyLock<IntCounter> = LazyLock::new(|| {
    metrics::counter(
        "connections_refused_total",
        "Connections closed at once because their address had too many.",
    )
});

/// The listener of one port.
pub(super) struct Acceptor {
    listener: TcpListener,
    /// Further connections wait in the kernel's queue, at no cost for the process.
    room: Arc<Semaphore>,
    per_address: Option<PerAddress>,
}

/// An accepted connection, and its permit.
pub(super) struct Accepted {
    pub(super) socket: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) permit: Permit,
}

/// A connection's part of the limits, released on drop.
pub(super) struct Permit {
    _port: OwnedSemaphorePermit,
    _address: Option<AddressPermit>,
}

/// The number of connections per client. An IPv6 client is a /64, which usually has one owner.
#[derive(Clone)]
struct PerAddress {
    most: usize,
    /// Proxies are not limited, because each stands for many clients.
    proxies: Arc<[Proxy]>,
    taken: Arc<Mutex<HashMap<limit::Client, usize>>>,
}

struct AddressPermit {
    per_address: PerAddress,
    client: limit::Client,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, limits: &Limits) -> Self {
        let room = Arc::new(Semaphore::new(limits.max_connections));
        Self { listener, room, per_address: None }
    }

    /// Limits the connections of each address, except those of trusted proxies.
    #[must_use]
    pub(super) fn with_address_limit(self, limits: &Limits, proxies: &[Proxy]) -> Self {
        LazyLock::force(&REFUSED);
        let (most, proxies) = (limits.max_connections_per_address, proxies.into());
        Self { per_address: Some(PerAddress { most, proxies, taken: Arc::default() }), ..self }
    }

    /// Returns the next connection, as soon as there is room for it.
    pub(super) async fn next(&self) -> Accepted {
        loop {
            match self.accept().await {
                Ok(Some(accepted)) => return accepted,
                Ok(None) => REFUSED.inc(),
                Err(error) => {
                    tracing::warn!(error = %error, "cannot accept a connection");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Accepts a connection. `None` when its address has too many.
    async fn accept(&self) -> io::Result<Option<Accepted>> {
        let port = self.room.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (socket, peer) = self.listener.accept().await?;
        let address = match &self.per_address {
            Some(per_address) if !per_address.is_exempt(peer.ip()) => {
                match per_address.take(peer.ip()) {
                    Some(permit) => Some(permit),
                    None => return Ok(None),
                }
            }
            _ => None,
        };
        // Answers are sent whole; delaying small packets helps nobody.
        let _ = socket.set_nodelay(true);
        Ok(Some(Accepted { socket, peer, permit: Permit { _port: port, _address: address } }))
    }
}

impl PerAddress {
    fn is_exempt(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|proxy| proxy.contains(address))
    }

    fn take(&self, address: IpAddr) -> Option<AddressPermit> {
        let client = limit::Client::at(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.get(&client).copied().unwrap_or_default();
        if count >= self.most {
            return None;
        }
        taken.insert(client, count + 1);
        Some(AddressPermit { per_address: self.clone(), client })
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut taken = self.per_address.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.client)),
        }
    }
}
