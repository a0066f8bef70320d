//! A PostgreSQL of the test's own and a real replica that follows it: somebody else's cannot be stopped.

use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

pub struct Pair {
    pub primary: PgPool,
    pub standby: PgPool,
    home: PathBuf,
}

impl Pair {
    /// Starts a server with the roles and the schema of booking.
    pub async fn start(name: &str) -> Self {
        let home = format!("booking-{name}-{}", std::process::id());
        let home = std::env::temp_dir().join(home);
        std::fs::DirBuilder::new().mode(0o777).create(&home).unwrap();
        if let Some((uid, gid)) = server_user() {
            std::os::unix::fs::chown(&home, Some(uid), Some(gid)).unwrap();
        }
        let (first, second) = (home.join("first"), home.join("second"));
        let data = |dir: &Path| format!("--pgdata={}", dir.display());
        let host = format!("--host={}", home.display());
        let user = "--username=postgres";
        run(&home, "initdb", &[&data(&first), user, "--auth=trust", "--no-sync", "--no-locale"]);
        serve(&home, &first, 1);
        let copied =
            [&data(&second), &host, user, "--port=1", "--write-recovery-conf", "--no-sync"];
        run(&home, "pg_basebackup", &[&copied[..], &["--checkpoint=fast"]].concat());
        serve(&home, &second, 2);

        let server = |port| {
            PgConnectOptions::new()
                .socket(&home)
                .port(port)
                .username("postgres")
                .database("postgres")
        };
        let primary = PgPool::connect_with(server(1)).await.unwrap();
        let roles = "CREATE ROLE booking_owner LOGIN; CREATE ROLE booking_app LOGIN";
        sqlx::raw_sql(roles).execute(&primary).await.unwrap();
        booking::MIGRATOR.run(&primary).await.unwrap();
        let standby = PgPool::connect_with(server(2)).await.unwrap();
        Self { primary, standby, home }
    }

    /// Lets the replica fall behind: it receives and does not replay.
    pub async fn pause(&self) {
        sqlx::raw_sql("SELECT pg_wal_replay_pause()").execute(&self.standby).await.unwrap();
        testkit::eventually(std::time::Duration::from_secs(10), || async {
            let paused: bool =
                sqlx::query_scalar("SELECT pg_get_wal_replay_pause_state() = 'paused'")
                    .fetch_one(&self.standby)
                    .await
                    .unwrap();
            paused.then_some(())
        })
        .await;
    }

    pub async fn resume(&self) {
        sqlx::raw_sql("SELECT pg_wal_replay_resume()").execute(&self.standby).await.unwrap();
    }

    /// Makes it a server of its own.
    pub async fn promote(&self) {
        sqlx::raw_sql("SELECT pg_promote()").execute(&self.standby).await.unwrap();
    }

    pub fn stop_standby(&self) {
        self.stop("second");
    }

    fn stop(&self, which: &str) {
        let data = format!("--pgdata={}", self.home.join(which).display());
        command(&self.home, "pg_ctl").args([&data, "-mimmediate", "stop"]).output().unwrap();
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.stop("second");
        self.stop("first");
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// On a socket only, so that no port can be taken.
fn serve(home: &Path, data: &Path, port: u16) {
    let socket = home.display();
    let options = format!(
        "-c port={port} -c listen_addresses= -c unix_socket_directories={socket} -c fsync=off \
         -c shared_buffers=16MB -c dynamic_shared_memory_type=mmap -c wal_receiver_status_interval=1"
    );
    let (data, log) = (format!("--pgdata={}", data.display()), home.join(format!("{port}.log")));
    let log = format!("--log={}", log.display());
    run(home, "pg_ctl", &[&data, &log, "--options", &options, "--wait", "start"]);
}

fn run(home: &Path, program: &str, arguments: &[&str]) {
    // Not its output: a server that was started would keep the pipe open.
    let status = command(home, program)
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

fn command(home: &Path, program: &str) -> Command {
    let mut command = Command::new(bin().join(program));
    command.current_dir(home).env("LC_ALL", "C");
    if let Some((uid, gid)) = server_user() {
        command.uid(uid).gid(gid);
    }
    command
}

/// Returns the folder of PostgreSQL's programs: on PATH, or in a distribution's place, the newest first.
fn bin() -> PathBuf {
    let mut dirs: Vec<_> = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
    let hidden = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut hidden: Vec<_> = hidden.map(|entry| entry.path().join("bin")).collect();
    hidden.sort();
    dirs.extend(hidden.into_iter().rev());
    dirs.into_iter()
        .find(|dir| dir.join("pg_basebackup").exists() && dir.join("initdb").exists())
        .unwrap()
}

/// `postgres` when we are root, who may not run a server.
fn server_user() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> u32 {
        let said = Command::new("id").args(arguments).output().unwrap().stdout;
        String::from_utf8(said).unwrap().trim().parse().unwrap()
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}
