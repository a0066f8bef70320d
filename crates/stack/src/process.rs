//! Processes: starting them apart from us, knowing them again, ending them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

/// The pause between two checks of a condition.
pub const POLL: Duration = Duration::from_millis(20);

/// A process that is known again even after its number was given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub pid: i32,
    /// The time of its start, in the kernel's own unit.
    started: u64,
}

impl Identity {
    /// The process that has this number now. A dead one that nobody has waited for does not count.
    pub fn of(pid: i32) -> Option<Self> {
        if !Path::new("/proc/self/stat").exists() {
            return Self::of_ps(pid);
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the name, in parentheses, and may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        Some(Self { pid, started: fields.get(19)?.parse().ok()? })
    }

    /// Finds the process without /proc: the start time as text, made a number.
    fn of_ps(pid: i32) -> Option<Self> {
        let ps = std::process::Command::new("ps")
            .args(["-o", "stat=,lstart=", "-p", &pid.to_string()])
            .output()
            .ok()?;
        let text = String::from_utf8(ps.stdout).ok()?;
        let (state, start) = text.trim().split_once(' ')?;
        let sum = |sum: u64, byte: u8| sum.wrapping_mul(31).wrapping_add(u64::from(byte));
        (!state.starts_with('Z')).then(|| Self { pid, started: start.bytes().fold(0, sum) })
    }

    pub fn me() -> anyhow::Result<Self> {
        Self::of(nix::unistd::getpid().as_raw()).context("this process cannot see itself")
    }

    pub fn is_alive(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    /// Sends a signal to the process, if it is still the same one.
    pub fn signal(&self, signal: Signal) {
        if self.is_alive() {
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Asks it to end with `signal`; insists after `grace`, then on its whole group. False when it
    /// had to be killed.
    pub async fn end(&self, signal: Signal, grace: Duration) -> bool {
        self.signal(signal);
        if self.is_gone_within(grace).await {
            return true;
        }
        let _ = killpg(Pid::from_raw(self.pid), Signal::SIGKILL);
        self.signal(Signal::SIGKILL);
        self.is_gone_within(Duration::from_secs(5)).await;
        false
    }

    pub async fn is_gone_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.is_alive() {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }
}

/// The user a process runs as, when it is not ours.
#[derive(Clone, Copy, Debug)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// The variable by which a process of a stack is known, should everything else be lost.
pub const MARK: &str = "STACK_MEMBER_OF";

/// A program to run, with its arguments and environment.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub user: Option<User>,
    pub directory: PathBuf,
    /// The stack it belongs to.
    pub stack: PathBuf,
}

impl Program {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .current_dir(&self.directory)
            // A group of its own: Ctrl-C in the terminal is for us, not for our children.
            .process_group(0)
            .env(MARK, &self.stack)
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null());
        if let Some(User { uid, gid }) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Starts it, with its output at the end of the log.
    pub fn start(&self, log: &Path) -> anyhow::Result<Child> {
        let log = fs::File::options().create(true).append(true).open(log)?;
        let mut command = self.command();
        command.stdout(log.try_clone()?).stderr(log);
        command.spawn().with_context(|| format!("cannot start {}", self.path.display()))
    }

    /// Runs it to its end; what it said when it fails.
    pub async fn run(&self) -> anyhow::Result<String> {
        let output = self
            .command()
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot start {}", self.path.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().lines().take(12).collect::<Vec<_>>().join("\n");
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        anyhow::ensure!(output.status.success(), "{name} failed ({}): {said}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// The processes of the stack in `dir`, found without its board; none where there is no /proc. By
/// the mark, and the servers that write over their environment by where they work.
pub fn marked(dir: &Path, data: &[PathBuf]) -> Vec<Identity> {
    const OVERWRITE: [&str; 2] = ["redis-server", "postgres"];
    let mark = format!("{MARK}={}", dir.display());
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != nix::unistd::getpid().as_raw())
        .filter(|pid| {
            let of = |file: &str| Path::new("/proc").join(pid.to_string()).join(file);
            let marked = fs::read(of("environ"))
                .is_ok_and(|env| env.split(|b| *b == 0).any(|entry| entry == mark.as_bytes()));
            let name = fs::read_to_string(of("comm")).unwrap_or_default();
            let server = OVERWRITE.contains(&name.trim());
            let works_there = || fs::read_link(of("cwd")).is_ok_and(|cwd| is_below(&cwd, data));
            marked || (server && works_there())
        })
        .filter_map(Identity::of)
        .collect()
}

fn is_below(path: &Path, dirs: &[PathBuf]) -> bool {
    dirs.iter().any(|dir| path.starts_with(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_given_to_another_process_is_not_the_same_process() {
        let me = Identity::me().unwrap();
        assert!(me.is_alive());
        assert!(!Identity { started: me.started + 1, ..me }.is_alive());
    }
}
