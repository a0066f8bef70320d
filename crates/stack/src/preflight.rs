//! Everything that stands in the way, found before anything starts and named at once.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::parts::postgres;
use crate::ports::SERVICES;
use crate::process::POLL;
use crate::settings::Settings;
use crate::tools::{self, Tool};

/// Refuses with the whole list.
pub async fn check(settings: &Settings) -> anyhow::Result<()> {
    let mut obstacles = Vec::new();
    let mut taken = taken(settings);
    if !taken.is_empty() && taken.iter().all(|(_, port)| listener(*port).is_none()) {
        // The gRPC ports lie in the range that Linux gives to outgoing connections: one of those may
        // hold a port, and for a minute after its end.
        say_waiting(&taken);
        let deadline = Instant::now() + Duration::from_secs(65);
        while !taken.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
            taken = self::taken(settings);
        }
    }
    for (variable, port) in taken {
        let owner = listener(port).unwrap_or_else(|| "a process of another user".to_owned());
        obstacles.push(format!("port {port} is taken by {owner}; {variable} moves ours"));
    }
    let mut seen = HashSet::new();
    for (variable, port) in settings.ports.named() {
        if !seen.insert(port) {
            obstacles.push(format!("{variable}: port {port} is given to two of our own"));
        }
    }
    let missing: Vec<_> = Tool::ALL.into_iter().filter(|tool| tool.find().is_none()).collect();
    obstacles.extend(missing.iter().map(|tool| format!("{} is missing", tool.name())));
    if !missing.contains(&Tool::Postgres)
        && let Err(error) = postgres::server_user()
    {
        obstacles.push(error.to_string());
    }
    for name in SERVICES.iter().chain(&["migrate"]) {
        let program = settings.place.program(name);
        if !program.is_file() {
            obstacles.push(format!("{} is not built; `make up` builds it", program.display()));
        }
    }
    refuse(&obstacles, &missing)
}

/// The same for a private PostgreSQL and Redis.
pub fn check_data() -> anyhow::Result<()> {
    let missing: Vec<_> = Tool::DATA.into_iter().filter(|tool| tool.find().is_none()).collect();
    let obstacles: Vec<_> = missing.iter().map(|t| format!("{} is missing", t.name())).collect();
    refuse(&obstacles, &missing)
}

fn refuse(obstacles: &[String], missing: &[Tool]) -> anyhow::Result<()> {
    if obstacles.is_empty() {
        return Ok(());
    }
    let mut text = "nothing was started, because".to_owned();
    for obstacle in obstacles {
        write!(text, "\n  {obstacle}")?;
    }
    if !missing.is_empty() {
        write!(text, "\ninstall what is missing with\n  {}", tools::how_to_install(missing))?;
    }
    bail!(text)
}

fn taken(settings: &Settings) -> Vec<(String, u16)> {
    let mut ports = settings.ports.named();
    ports.retain(|(_, port)| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err());
    ports
}

#[expect(clippy::print_stdout, reason = "otherwise it would seem to hang")]
fn say_waiting(taken: &[(String, u16)]) {
    let ports: Vec<_> = taken.iter().map(|(_, port)| port.to_string()).collect();
    println!("Waiting for an outgoing connection to give back port {}.", ports.join(", "));
}

/// Finds the process that listens on a port. None when there is none, as far as we can see.
pub fn listener(port: u16) -> Option<String> {
    if Path::new("/proc/net/tcp").exists() { by_proc(port) } else { by_lsof(port) }
}

fn by_proc(port: u16) -> Option<String> {
    let mut inodes = HashSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // 0A is LISTEN.
            if let [_, local, _, "0A", ..] = fields[..]
                && local.ends_with(&format!(":{port:04X}"))
                && let Some(inode) = fields.get(9).and_then(|inode| inode.parse::<u64>().ok())
            {
                inodes.insert(inode);
            }
        }
    }
    if inodes.is_empty() {
        return None;
    }
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let (path, pid) = (process.path(), process.file_name());
        // Beside the numbers there is `self`.
        if pid.to_str().is_none_or(|pid| pid.parse::<u32>().is_err()) {
            continue;
        }
        let Ok(files) = fs::read_dir(path.join("fd")) else { continue };
        let holds = files.flatten().filter_map(|file| fs::metadata(file.path()).ok());
        if holds.into_iter().any(|file| inodes.contains(&file.ino())) {
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {})", name.trim(), pid.display()));
        }
    }
    Some("a process of another user".to_owned())
}

fn by_lsof(port: u16) -> Option<String> {
    let lsof = std::process::Command::new("lsof")
        .args(["-nP", "-sTCP:LISTEN", "-Fpc", &format!("-iTCP:{port}")])
        .output()
        .ok()?;
    let text = String::from_utf8(lsof.stdout).ok()?;
    let field = |key: char| text.lines().find_map(|line| line.strip_prefix(key));
    Some(format!("{} (pid {})", field('c')?, field('p')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_port_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let owner = super::listener(listener.local_addr().unwrap().port()).unwrap();
        assert!(owner.ends_with(&format!("(pid {})", std::process::id())), "{owner}");
    }
}
