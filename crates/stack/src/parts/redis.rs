//! Redis: caches, and the one queue that must not be lost.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::parts::postgres::Worth;
use crate::place::{Place, write_private};
use crate::process::Program;
use crate::ready::Probe;
use crate::supervise::Part;
use crate::tools::Tool;

/// The services' way in.
pub fn url(place: &Place, port: u16, worth: Worth) -> anyhow::Result<String> {
    Ok(match worth {
        Worth::Kept => format!("redis://:{}@127.0.0.1:{port}", place.secret("redis_password")?),
        Worth::Scratch => format!("redis://127.0.0.1:{port}"),
    })
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
        config += &format!("requirepass {}\n", place.secret("redis_password")?);
    }
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
