//! The CPU time that a program has used, from `/proc`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The unit of `/proc/<pid>/stat` on Linux, whatever the kernel's own tick.
const TICK: Duration = Duration::from_millis(10);

/// Returns the CPU time of a process, of the children it has waited for, and of those that still run.
pub fn used(pid: u32) -> Duration {
    let processes: HashMap<u32, Stat> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, stat(Path::new(&format!("/proc/{pid}/stat")))?)))
        .collect();
    let children = processes.values().filter(|stat| stat.parent == pid);
    let children: u64 = children.map(|stat| stat.own).sum();
    let own = processes.get(&pid).map_or(0, |stat| stat.own + stat.reaped);
    TICK * u32::try_from(own + children).unwrap_or(u32::MAX)
}

/// Returns the CPU time of the threads of a process that have this name.
pub fn threads(pid: u32, name: &str) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let named = threads.filter(|thread| {
        fs::read_to_string(thread.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    });
    let used = named.filter_map(|thread| stat(&thread.path().join("stat"))).map(|stat| stat.own);
    TICK * u32::try_from(used.sum::<u64>()).unwrap_or(u32::MAX)
}

struct Stat {
    parent: u32,
    own: u64,
    reaped: u64,
}

fn stat(file: &Path) -> Option<Stat> {
    let line = fs::read_to_string(file).ok()?;
    // The program's name, in parentheses, may hold anything.
    let fields: Vec<_> = line.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: ticks(11)? + ticks(12)?,
        reaped: ticks(13)? + ticks(14)?,
    })
}
