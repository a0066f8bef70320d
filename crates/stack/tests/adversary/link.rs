//! The network between the parts: a proxy for each link, which can be cut or made to hang.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Open,
    /// Connections break, new ones are closed at once.
    Cut,
    /// Nothing is lost, and nothing arrives.
    Hangs,
}

pub struct Link {
    pub from: &'static str,
    pub to: &'static str,
    /// Where `from` finds it.
    pub port: u16,
    mode: watch::Sender<Mode>,
}

impl Link {
    pub async fn new(from: &'static str, to: &'static str, target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mode, state) = watch::channel(Mode::Open);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *state.borrow() != Mode::Cut {
                    tokio::spawn(carry(near, target, state.clone()));
                }
            }
        });
        Self { from, to, port, mode }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn carry(near: TcpStream, target: u16, mut state: watch::Receiver<Mode>) {
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else { return };
    let (_, _) = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let there = pump(near_in, far_out, state.clone());
    let back = pump(far_in, near_out, state.clone());
    tokio::select! {
        _ = async { tokio::join!(there, back) } => {}
        _ = state.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut state: watch::Receiver<Mode>,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        if state.wait_for(|mode| *mode != Mode::Hangs).await.is_err() {
            break;
        }
        if to.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
