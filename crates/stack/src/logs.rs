//! `stack logs`: what the parts have written.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write, stdout};
use std::time::Duration;

use anyhow::{bail, ensure};

use crate::place::Place;

/// Bytes of the past that are shown.
const TAIL: u64 = 8 << 10;

/// One part's log, or everybody's with the name in front; `follow` goes on for ever.
pub async fn run(place: &Place, part: Option<&str>, follow: bool) -> anyhow::Result<()> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(place.logs()).into_iter().flatten().flatten() {
        let path = entry.path();
        if let (Some("log"), Some(name)) =
            (path.extension().and_then(|e| e.to_str()), path.file_stem().and_then(|s| s.to_str()))
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    ensure!(!names.is_empty(), "there are no logs yet");
    if let Some(part) = part {
        if !names.iter().any(|name| name == part) {
            bail!("no log of `{part}`; there are {}", names.join(", "));
        }
        names = vec![part.to_owned()];
    }
    let prefix = names.len() > 1;
    let mut tails: Vec<_> =
        names.into_iter().map(|name| Tail::open(place, name, prefix)).collect::<Result<_, _>>()?;
    loop {
        for tail in &mut tails {
            // A reader that has gone, such as `head`, is no failure.
            if tail.print().is_err() {
                return Ok(());
            }
        }
        if !follow {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

struct Tail {
    name: String,
    file: File,
    prefix: bool,
    rest: String,
}

impl Tail {
    fn open(place: &Place, name: String, prefix: bool) -> anyhow::Result<Self> {
        let mut file = File::open(place.log(&name))?;
        let length = file.metadata()?.len();
        if length > TAIL {
            file.seek(SeekFrom::Start(length - TAIL))?;
            // From the next whole line on.
            let mut byte = [0];
            while file.read(&mut byte)? == 1 && byte != [b'\n'] {}
        }
        Ok(Self { name, file, prefix, rest: String::new() })
    }

    fn print(&mut self) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        self.rest.push_str(&String::from_utf8_lossy(&bytes));
        let mut out = stdout().lock();
        while let Some(end) = self.rest.find('\n') {
            let line: String = self.rest.drain(..=end).collect();
            if self.prefix {
                write!(out, "{:<12} | {line}", self.name)?;
            } else {
                write!(out, "{line}")?;
            }
        }
        out.flush()
    }
}
