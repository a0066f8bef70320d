//! Redis: caches, and the one queue that must not be lost. One user per service, for its own keys only.

use std::fmt::Write;
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::Signal;

use crate::parts::postgres::Worth;
use crate::place::{Place, write_private};
use crate::process::Program;
use crate::ready::Probe;
use crate::supervise::Part;
use crate::tools::Tool;

/// The user that is asked whether Redis is there: it may read numbers, and no key.
pub const OBSERVER: &str = "exporter";

/// A service's way in, as its own user.
pub fn url(place: &Place, port: u16, service: &str) -> anyhow::Result<String> {
    Ok(format!("redis://{service}:{}@127.0.0.1:{port}", password(place, service)?))
}

/// The way in of a test run, which may do everything.
pub fn scratch_url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

/// The password of one of Redis's users.
pub fn password(place: &Place, user: &str) -> anyhow::Result<String> {
    place.secret(&format!("redis_{user}_password"))
}

pub fn part(place: &Place, port: u16, worth: Worth) -> anyhow::Result<Part> {
    let data = place.data().join("redis");
    std::fs::create_dir_all(&data)?;
    let mut config =
        format!("bind 127.0.0.1\nport {port}\ndir \"{}\"\nsave \"\"\n", data.display());
    if worth == Worth::Kept {
        // Caches have a time to live and may be evicted; the queue has none and may not.
        config +=
            "appendonly yes\nappendfsync always\nmaxmemory 160mb\nmaxmemory-policy volatile-lru\n";
    }
    let acl = place.config().join("users.acl");
    write_private(&acl, &users(place, worth)?)?;
    writeln!(config, "aclfile \"{}\"", acl.display())?;
    let path = place.config().join("redis.conf");
    write_private(&path, &config)?;
    Ok(Part {
        name: "redis".to_owned(),
        program: Program {
            path: Tool::Redis.path()?,
            arguments: vec![path.display().to_string()],
            environment: Vec::new(),
            user: None,
            directory: data,
            stack: place.dir.clone(),
        },
        probe: Probe::Redis(port),
        stop: Signal::SIGTERM,
        grace: Duration::from_secs(5),
        endpoint: format!("127.0.0.1:{port}"),
    })
}

/// The users of `deployments/redis/users.acl`, as Redis loads them. In a test run they need no password, and whoever
/// names no user is not held to any key.
fn users(place: &Place, worth: Worth) -> anyhow::Result<String> {
    let file = place.workspace.join("deployments/redis/users.acl");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let mut users = String::new();
    for line in text.lines().filter(|line| line.starts_with("user ")) {
        let name = line.split(' ').nth(1).unwrap_or_default();
        match (name, worth) {
            ("default", Worth::Kept) => writeln!(users, "{line}")?,
            ("default", Worth::Scratch) => writeln!(users, "user default on nopass ~* &* +@all")?,
            (_, Worth::Kept) => writeln!(users, "{line} >{}", password(place, name)?)?,
            (_, Worth::Scratch) => writeln!(users, "{line} nopass")?,
        }
    }
    Ok(users)
}
