//! `<service> healthcheck`, for images without a shell. It exits with 0 when `/ready` on the admin port
//! answers 200. It does not ask the public port: clients can fill that one, and a restart would not help.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the service whose admin port is `ADMIN_LISTEN` in this container. Reads no other variable.
#[expect(clippy::disallowed_methods, reason = "the probe has no configuration of its own")]
pub(crate) fn healthcheck() -> ExitCode {
    let listen = std::env::var("ADMIN_LISTEN").ok().and_then(|text| text.parse().ok());
    match listen.map(|listen: SocketAddr| ready(listen.port())) {
        Some(Ok(true)) => ExitCode::SUCCESS,
        Some(Ok(false) | Err(_)) | None => ExitCode::FAILURE,
    }
}

fn ready(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status.starts_with(b"HTTP/1.1 200"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn server(answer: &'static [u8]) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer).unwrap();
        });
        port
    }

    #[test]
    fn only_200_is_healthy() {
        assert!(ready(server(b"HTTP/1.1 200 OK\r\n\r\n")).unwrap());
        assert!(!ready(server(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")).unwrap());
        assert!(ready(server(b"")).is_err());
    }
}
