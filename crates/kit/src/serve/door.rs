//! A port that lets in as many connections as there is room for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use crate::config::Limits;

/// After the machine refused us a socket, for want of file descriptors as a rule.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts the connections of one port.
pub(super) struct Door {
    listener: TcpListener,
    /// More than this many wait in the kernel's queue, where they cost us nothing.
    room: Arc<Semaphore>,
}

/// A connection, and its place until it is dropped.
pub(super) struct Visitor {
    pub(super) socket: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) place: OwnedSemaphorePermit,
}

impl Door {
    pub(super) fn new(listener: TcpListener, limits: &Limits) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(limits.max_connections)) }
    }

    /// The next connection, as soon as there is room for it.
    pub(super) async fn next(&self) -> Visitor {
        loop {
            match self.accept().await {
                Ok(visitor) => return visitor,
                Err(error) => {
                    tracing::warn!(error = %error, "cannot accept a connection");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn accept(&self) -> io::Result<Visitor> {
        let place = self.room.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (socket, peer) = self.listener.accept().await?;
        // Answers are small and whole: waiting for more to send with them only delays them.
        let _ = socket.set_nodelay(true);
        Ok(Visitor { socket, peer, place })
    }
}
