//! A Redis of a test's own, to be killed and frozen.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kit::config;

pub struct Server {
    port: u16,
    process: Child,
}

impl Server {
    pub async fn start() -> Self {
        // Free a moment ago, and nobody else asks for exactly this one.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { port, process: spawn(port) };
        server.ready().await;
        server
    }

    pub fn config(&self) -> config::Redis {
        config::Redis::new(Some(format!("redis://127.0.0.1:{}", self.port).into()))
    }

    /// A connection past everything that is tested.
    pub async fn raw(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub async fn restart(&mut self) {
        self.process = spawn(self.port);
        self.ready().await;
    }

    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let kill = Command::new("kill").arg(signal).arg(self.process.id().to_string()).status();
        assert!(kill.unwrap().success());
    }

    async fn ready(&self) {
        testkit::eventually(Duration::from_secs(10), || async {
            tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.ok()
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill(); // also works on a frozen one
        let _ = self.process.wait();
    }
}

fn spawn(port: u16) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "no", "--dir", "/tmp"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}
