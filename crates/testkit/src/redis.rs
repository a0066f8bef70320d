//! Finds the Redis that tests may use, or starts one to be killed and frozen.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kit::config;
use secrecy::SecretString;

/// Its URL, from `REDIS_URL`.
///
/// # Panics
/// When that is not set: `make test` sets it.
#[expect(clippy::disallowed_methods, reason = "the environment is all a test is configured by")]
pub fn url() -> String {
    std::env::var("REDIS_URL").expect("REDIS_URL says where the tests' Redis is")
}

/// For `kit::redis::Redis::new`.
pub fn config() -> config::Redis {
    config::Redis::new(Some(url().into()))
}

/// The secret that a service under test signs with, the same in each of its replicas.
pub fn secret() -> SecretString {
    "the secret of a service under test".into()
}

/// For the user that a service is where it is deployed: its own keys, and no command that it does not send.
pub fn config_of(service: &str) -> config::Redis {
    config::Redis::new(Some(as_user(&url(), service).into()))
}

/// For a service that runs without Redis.
pub fn none() -> config::Redis {
    config::Redis::new(None)
}

/// A Redis of a test's own.
pub struct Server {
    port: u16,
    process: Child,
    /// The file with its users.
    acl: PathBuf,
    /// Keeps what it acknowledges, in a directory of this name, also past a kill.
    durable: Option<String>,
}

impl Server {
    /// On a free port, and empty.
    ///
    /// # Panics
    /// When `redis-server` cannot be started; so do the others, when it is gone.
    pub async fn start() -> Self {
        Self::begin(false).await
    }

    /// The same, with an append-only file that is synced before each answer.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub async fn durable() -> Self {
        Self::begin(true).await
    }

    async fn begin(durable: bool) -> Self {
        // Free a moment ago, and nobody else asks for exactly this one.
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("its address").port();
        drop(socket);
        let name = format!("/tmp/testkit-redis-{}-{port}", std::process::id());
        let acl = PathBuf::from(format!("{name}.acl"));
        std::fs::write(&acl, users()).expect("a file in /tmp");
        let durable = durable.then_some(name);
        let process = spawn(port, &acl, durable.as_deref());
        let server = Self { port, process, acl, durable };
        server.ready().await;
        server
    }

    pub fn config(&self) -> config::Redis {
        config::Redis::new(Some(self.url().into()))
    }

    /// Returns [`config_of`] for this server.
    pub fn config_of(&self, service: &str) -> config::Redis {
        config::Redis::new(Some(as_user(&self.url(), service).into()))
    }

    /// For a connection past everything that is tested.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn kill(&mut self) {
        self.process.kill().expect("kill redis-server");
        self.process.wait().expect("its end");
    }

    /// On the same port, and empty again unless it is durable.
    pub async fn restart(&mut self) {
        self.process = spawn(self.port, &self.acl, self.durable.as_deref());
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
        assert!(kill.expect("kill").success(), "redis-server is gone");
    }

    async fn ready(&self) {
        crate::eventually(Duration::from_secs(10), || async {
            tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.ok()
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill(); // also works on a frozen one
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.acl);
        if let Some(place) = &self.durable {
            let _ = std::fs::remove_dir_all(place);
        }
    }
}

/// The users that are deployed, without passwords. Whoever names none may do everything, as in `make test`'s own Redis.
fn users() -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deployments/redis/users.acl");
    let text = std::fs::read_to_string(file).expect("the users of Redis");
    let named =
        text.lines().filter(|line| line.starts_with("user ") && !line.starts_with("user default "));
    let users = named.map(|user| format!("{user} nopass\n"));
    users.chain(["user default on nopass ~* &* +@all\n".to_owned()]).collect()
}

/// Any password will do.
fn as_user(url: &str, service: &str) -> String {
    url.replacen("://", &format!("://{service}:-@"), 1)
}

fn spawn(port: u16, acl: &Path, durable: Option<&str>) -> Child {
    if let Some(place) = durable {
        std::fs::create_dir_all(place).expect("a directory in /tmp");
    }
    let appendonly = if durable.is_some() { "yes" } else { "no" };
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", appendonly, "--appendfsync", "always"])
        .args(["--dir", durable.unwrap_or("/tmp"), "--aclfile"])
        .arg(acl)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server on the PATH")
}
