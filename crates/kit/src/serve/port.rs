//! Binds a port, and names the process that already has it.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::anyhow;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted. With the usual 128, a burst makes the kernel drop the last step
/// of handshakes, and a client that believes itself connected waits for seconds.
const BACKLOG: u32 = 4096;

/// Listens on `address`, which was set by `variable`.
pub(super) fn bind(variable: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    listen(address).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            let owner = owner(address.port()).unwrap_or_else(|| "another process".to_owned());
            anyhow!("{variable}: port {} is in use by {owner}", address.port())
        }
        _ => anyhow!("{variable}: cannot listen on {address}: {error}"),
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart need not wait until the previous connections time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Returns the process that listens on `port`, such as `points (pid 4711)`, if it is visible.
fn owner(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        listening_inode(&table, port)
    })?;
    let socket = format!("socket:[{inode}]");
    let process = fs::read_dir("/proc").ok()?.flatten().find(|process| {
        fs::read_dir(process.path().join("fd"))
            .into_iter()
            .flatten()
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == Path::new(&socket)))
    })?;
    let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
    Some(format!("{} (pid {})", name.trim(), process.file_name().display()))
}

/// Finds the inode in `/proc/net/tcp`: `sl local_address rem_address st … inode`, in hexadecimal; `0A` is
/// LISTEN.
fn listening_inode(table: &str, port: u16) -> Option<String> {
    let port = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let ours = columns.get(1)?.ends_with(&port) && *columns.get(3)? == "0A";
        ours.then(|| columns.get(9).map(|inode| (*inode).to_owned())).flatten()
    })
}
