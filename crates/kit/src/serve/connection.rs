//! A socket that does not wait for ever.
//!
//! hyper's header timeout begins with the first byte, knows nothing of an HTTP/2 preface that breaks
//! off, and nothing at all limits a client that does not read. Here, while no request of a
//! connection is in flight, it must bring a byte in time, and the next request in a longer time, so that
//! nobody stays by sending pings; and what we write must be taken.

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

use super::door::{Place, Visitor};
use crate::config::Limits;

/// How many requests of one connection are being answered, and how many there were.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    now: AtomicUsize,
    ever: AtomicUsize,
}

impl InFlight {
    /// One more, until the result is dropped.
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
    /// Its place among the connections of the port, and of its address.
    _place: Place,
    in_flight: InFlight,
    /// How many requests there had been when `idle` began.
    requests: usize,
    read: Timer,
    /// Runs while there is no request, whatever else comes.
    idle: Timer,
    write: Timer,
}

impl Connection {
    /// The first byte has a timeout of its own.
    pub(super) fn new(visitor: Visitor, in_flight: InFlight, limits: &Limits) -> Self {
        let Visitor { socket, place, .. } = visitor;
        let mut read = Timer::new(limits.header_timeout);
        read.start(limits.first_byte_timeout);
        let write = Timer::new(limits.write_timeout);
        let idle = Timer::new(limits.idle_timeout);
        Self { socket, _place: place, in_flight, requests: 0, read, idle, write }
    }

    /// For a protocol that keeps quiet connections open on purpose, and pings them.
    pub(super) fn first_byte_only(visitor: Visitor, limits: &Limits) -> Self {
        let mut connection = Self::new(visitor, InFlight::default(), limits);
        connection.read.limit = Duration::MAX;
        connection.idle.limit = Duration::MAX;
        connection
    }
}

/// Runs from the first time that something had to be waited for until it came.
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
            // A client may well be silent while it waits for us; its body has its own timeout.
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
