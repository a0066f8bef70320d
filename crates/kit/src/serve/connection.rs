//! A socket with time limits.
//!
//! hyper's header timeout begins with the first byte and does not cover an incomplete HTTP/2 preface, and
//! hyper does not limit a client that reads nothing. Here a connection without a request in flight must send
//! a byte within one limit and a request within a longer one, so that pings do not keep it open; and the
//! client must accept written bytes in time.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::acceptor::{Accepted, Permit};
use crate::config::Limits;

/// The number of a connection's requests in flight, and of all its requests.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    now: AtomicUsize,
    ever: AtomicUsize,
}

impl InFlight {
    /// Counts a request until the result is dropped.
    pub(super) fn enter(&self) -> Entered {
        self.0.now.fetch_add(1, Ordering::Relaxed);
        self.0.ever.fetch_add(1, Ordering::Relaxed);
        Entered(self.clone())
    }

    fn is_empty(&self) -> bool {
        self.0.now.load(Ordering::Relaxed) == 0
    }

    fn ever(&self) -> usize {
        self.0.ever.load(Ordering::Relaxed)
    }
}

pub(super) struct Entered(InFlight);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An accepted connection with its timeouts.
pub(super) struct Connection {
    socket: TcpStream,
    /// Its part of the limits of the port and of its address.
    _permit: Permit,
    in_flight: InFlight,
    /// The number of requests when `idle` started.
    requests: usize,
    read: Timer,
    /// Runs while no request is in flight, whatever bytes arrive.
    idle: Timer,
    write: Timer,
}

impl Connection {
    /// Creates a connection; the first byte has its own limit.
    pub(super) fn new(accepted: Accepted, in_flight: InFlight, limits: &Limits) -> Self {
        let Accepted { socket, permit, .. } = accepted;
        let mut read = Timer::new(limits.header_timeout);
        read.start(limits.first_byte_timeout);
        let write = Timer::new(limits.write_timeout);
        let idle = Timer::new(limits.idle_timeout);
        Self { socket, _permit: permit, in_flight, requests: 0, read, idle, write }
    }

    /// Creates a connection for gRPC, which keeps idle connections open and pings them.
    pub(super) fn first_byte_only(accepted: Accepted, limits: &Limits) -> Self {
        let mut connection = Self::new(accepted, InFlight::default(), limits);
        connection.read.limit = Duration::MAX;
        connection.idle.limit = Duration::MAX;
        connection
    }
}

/// Measures how long the peer has kept us waiting.
struct Timer {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    fn new(limit: Duration) -> Self {
        Self { limit, sleep: None }
    }

    fn start(&mut self, limit: Duration) {
        self.sleep = Instant::now().checked_add(limit).map(|at| Box::pin(sleep_until(at)));
    }

    fn stop(&mut self) {
        self.sleep = None;
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.sleep.is_none() {
            self.start(self.limit);
        }
        match &mut self.sleep {
            Some(sleep) => {
                ready!(sleep.as_mut().poll(cx));
                Poll::Ready(ErrorKind::TimedOut.into())
            }
            None => Poll::Pending,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(late) = this.poll_idle(cx) {
            return Poll::Ready(Err(late));
        }
        match Pin::new(&mut this.socket).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                this.read.stop();
                Poll::Ready(result)
            }
            // A client may be silent while it waits for the answer. A body has its own limit.
            Poll::Pending if !this.in_flight.is_empty() => {
                this.read.stop();
                Poll::Pending
            }
            Poll::Pending => this.read.poll_waiting(cx).map(Err),
        }
    }
}

impl Connection {
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let requests = self.in_flight.ever();
        if requests != self.requests || !self.in_flight.is_empty() {
            self.requests = requests;
            self.idle.stop();
        }
        if self.in_flight.is_empty() { self.idle.poll_waiting(cx) } else { Poll::Pending }
    }

    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_pending() {
            return self.write.poll_waiting(cx).map(Err);
        }
        self.write.stop();
        result
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.written(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.socket).poll_write_vectored(cx, slices);
        this.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.socket.connect_info()
    }
}
