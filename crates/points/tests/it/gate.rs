//! A way to the database that can be closed, or frozen, while the database itself goes on.

use std::net::SocketAddr;

use sqlx::PgPool;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Connections break, new ones are refused.
    Closed,
    /// Nothing passes, and nothing breaks.
    Frozen,
}

pub struct Gate {
    address: SocketAddr,
    state: watch::Sender<State>,
}

impl Gate {
    pub async fn before(db: &PgPool) -> Self {
        let options = db.connect_options();
        let target = (options.get_host().to_owned(), options.get_port());
        let socket = options.get_socket().cloned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, watching) = watch::channel(State::Open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (watching, target, socket) = (watching.clone(), target.clone(), socket.clone());
                tokio::spawn(async move {
                    match socket {
                        Some(path) => {
                            pass(client, UnixStream::connect(path).await.unwrap(), watching).await
                        }
                        None => {
                            pass(client, TcpStream::connect(target).await.unwrap(), watching).await
                        }
                    }
                });
            }
        });
        Self { address, state }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn close(&self) {
        self.state.send_replace(State::Closed);
    }

    pub fn freeze(&self) {
        self.state.send_replace(State::Frozen);
    }

    pub fn open(&self) {
        self.state.send_replace(State::Open);
    }
}

/// Lets bytes pass while the gate is open. What is copied half is dropped with the connection.
async fn pass(
    mut client: TcpStream,
    mut server: impl AsyncRead + AsyncWrite + Unpin,
    mut watching: watch::Receiver<State>,
) {
    loop {
        let state = *watching.borrow_and_update();
        match state {
            State::Closed => return,
            State::Frozen => {
                let _ = watching.changed().await;
            }
            State::Open => tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => return,
                _ = watching.changed() => {}
            },
        }
    }
}
