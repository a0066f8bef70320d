//! A stack of one's own, on free ports, gone with the test.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use stack::board::{self, Condition, Part, State};
use stack::down::members;
use stack::place::Place;
use stack::ports::Ports;
use stack::process::Identity;
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};

/// One stack at a time also where all tests share a process, as under `cargo test`.
static ALONE: Mutex<()> = Mutex::const_new(());

pub struct Bench {
    pub ports: Ports,
    pub place: Place,
    environment: Vec<(String, String)>,
    _alone: MutexGuard<'static, ()>,
}

pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Bench {
    pub async fn new(name: &str) -> Self {
        Self::inside(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)).await
    }

    /// In this directory, which must be free to use.
    pub async fn inside(dir: PathBuf) -> Self {
        let alone = ALONE.lock().await;
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let program = Path::new(env!("CARGO_BIN_EXE_stack"));
        let place = Place {
            dir,
            workspace: workspace.canonicalize().unwrap(),
            binaries: program.parent().unwrap().to_owned(),
        };
        let ports = Ports::free().unwrap();
        let mut environment: Vec<_> =
            ports.named().into_iter().map(|(name, port)| (name, port.to_string())).collect();
        environment.push(("STACK_DIR".to_owned(), place.dir.display().to_string()));
        let bench = Self { ports, place, environment, _alone: alone };
        bench.clean();
        bench
    }

    pub fn set(&mut self, variable: &str, value: impl ToString) {
        self.environment.push((variable.to_owned(), value.to_string()));
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stack"));
        command
            .args(arguments)
            .current_dir(&self.place.workspace)
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub async fn run(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().await.unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs it and insists that it succeeds.
    pub async fn ok(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments).await;
        assert_eq!(said.code, 0, "stack {arguments:?}: {}{}", said.out, said.err);
        said.out
    }

    /// Up, and how long it took.
    pub async fn up(&self) -> Duration {
        let begun = Instant::now();
        self.ok(&["up"]).await;
        begun.elapsed()
    }

    pub fn state(&self) -> State {
        board::read(&self.place).unwrap()
    }

    pub fn part(&self, name: &str) -> Part {
        self.state().parts.into_iter().find(|part| part.name == name).unwrap()
    }

    pub fn process(&self, name: &str) -> Identity {
        self.part(name).process.unwrap()
    }

    pub fn is_ready(&self, name: &str) -> bool {
        self.part(name).condition == Condition::Ready
    }

    pub fn url(&self, service: &str, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.service(service).http)
    }

    /// `/ready` of a service: status and body.
    pub async fn ready(&self, service: &str) -> (u16, Value) {
        let answer = reqwest::get(self.url(service, "/ready")).await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Nothing of it lives, and every port is free.
    pub fn assert_gone(&self) {
        assert_eq!(members(&self.place), [], "processes are left");
        for (variable, port) in self.ports.named() {
            assert_eq!(stack::preflight::listener(port), None, "{variable} is still taken");
        }
        let lock = std::fs::File::open(self.place.lock()).unwrap();
        lock.try_lock().unwrap();
    }

    fn clean(&self) {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stack"));
        command.arg("clean").current_dir(&self.place.workspace).stdout(Stdio::null());
        let _ = command.env("STACK_DIR", &self.place.dir).status();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The logs are worth more than the space.
            let mut command = self.command(&["down"]).into_std();
            let _ = command.stdout(Stdio::null()).status();
        } else {
            self.clean();
        }
    }
}

/// Waits for a condition; how long it took.
#[track_caller]
pub fn within<F, Fut>(limit: Duration, what: &str, mut holds: F) -> impl Future<Output = Duration>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let caller = std::panic::Location::caller();
    async move {
        let begun = Instant::now();
        while !holds().await {
            assert!(begun.elapsed() < limit, "{caller}: not within {limit:?}: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        begun.elapsed()
    }
}
