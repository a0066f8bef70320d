//! The service's line to PostgreSQL, which stops at the end of one transaction: at its COMMIT, or at the one
//! statement that it is.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use sqlx::PgPool;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::mpsc;

/// The point at which the line stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// It has left the service, and does not arrive.
    Sent,
    /// It has arrived, and PostgreSQL is at it.
    Arrived,
    /// It is done, and the service is not told.
    Done,
}

/// The key that the transaction keeps.
type Target = Arc<Mutex<Option<(Vec<u8>, At)>>>;

pub struct Line {
    pub address: SocketAddr,
    target: Target,
    stopped: mpsc::UnboundedReceiver<()>,
}

impl Line {
    pub async fn to(db: &PgPool) -> Self {
        let options = db.connect_options();
        let server = (options.get_host().to_owned(), options.get_port());
        let socket = options.get_socket().cloned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Target::default();
        let (tell, stopped) = mpsc::unbounded_channel();
        let watching = target.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, tell) = (watching.clone(), tell.clone());
                let (server, socket) = (server.clone(), socket.clone());
                tokio::spawn(async move {
                    match socket {
                        Some(path) => {
                            pass(client, UnixStream::connect(path).await.unwrap(), target, tell)
                                .await
                        }
                        None => {
                            pass(client, TcpStream::connect(server).await.unwrap(), target, tell)
                                .await
                        }
                    }
                });
            }
        });
        Self { address, target, stopped }
    }

    /// Stops once, at the end of the transaction that keeps this key.
    pub fn stop(&self, key: &str, at: At) {
        *self.target.lock().unwrap() = Some((key.as_bytes().to_vec(), at));
    }

    pub async fn stopped(&mut self) {
        self.stopped.recv().await.unwrap();
    }
}

async fn pass(
    client: TcpStream,
    server: impl AsyncRead + AsyncWrite + Unpin,
    target: Target,
    tell: mpsc::UnboundedSender<()>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = split(server);
    // The bytes sent since the last transaction ended.
    let mut sent = Vec::new();
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = from_client.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                sent.extend_from_slice(&up[..count]);
                let stop = is_end(&sent).then(|| hit(&target, &sent)).flatten();
                if is_end(&sent) {
                    sent.clear();
                }
                if stop != Some(At::Sent) && to_server.write_all(&up[..count]).await.is_err() {
                    return;
                }
                if stop == Some(At::Done) && from_server.read(&mut down).await.is_err() {
                    return;
                }
                if stop.is_some() {
                    tell.send(()).unwrap();
                    // From now on neither side hears the other, until the service is dead.
                    let _ = from_client.read(&mut up).await;
                    return;
                }
            }
            read = from_server.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                if to_client.write_all(&down[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// True when these bytes end a transaction, of one statement or of many, in the form that sqlx sends.
fn is_end(sent: &[u8]) -> bool {
    const SYNC: &[u8] = b"S\0\0\0\x04";
    let alone = !has(sent, b"BEGIN") && sent.ends_with(SYNC);
    alone || sent.ends_with(b"COMMIT\0") || sent.ends_with(b"ROLLBACK\0")
}

/// Returns the stop for the awaited transaction, which has the key and an answer to record with it. A mere read has
/// no answer.
fn hit(target: &Target, sent: &[u8]) -> Option<At> {
    let mut target = target.lock().unwrap();
    let (key, _) = target.as_ref()?;
    let there = has(sent, key) && has(sent, b"\"transfer_id\"");
    there.then(|| target.take()).flatten().map(|(_, at)| at)
}

fn has(sent: &[u8], part: &[u8]) -> bool {
    sent.windows(part.len()).any(|bytes| bytes == part)
}
