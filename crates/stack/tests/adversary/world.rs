//! The system under attack, with everything that outlives one cast.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Client;
use sqlx::{ConnectOptions as _, PgConnection};
use stack::ready::superuser;

use crate::api::Api;
use crate::bench::Bench;
use crate::fault::Network;

/// How often each route was let in, and refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reached {
    pub granted: usize,
    pub refused: usize,
}

pub struct World {
    pub bench: Bench,
    pub api: Api,
    pub network: Network,
    pub client: Client,
    /// Every code that docs/errors.md lists, with its statuses.
    pub codes: HashMap<String, Vec<u16>>,
    /// docs/access.md: for each route what each kind of caller is answered.
    pub access: HashMap<(String, String), HashMap<String, String>>,
    /// What is known already, while one looks for more: kinds, or parts of what is said.
    pub excepted: Vec<String>,
    /// What the records have been accused of.
    pub known: RefCell<HashSet<String>>,
    pub reached: RefCell<BTreeMap<usize, Reached>>,
}

impl World {
    pub async fn start() -> Self {
        let mut bench = Bench::new("adversary").await;
        let network = Network::new(&bench).await;
        bench.set("STACK_VIA", network.detours());
        bench.set("STACK_RESTART_DELAY_MS", 50);
        bench.set("RUST_BACKTRACE", 0);
        bench.up().await;
        let client = Client::builder()
            .timeout(Duration::from_secs(4))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let api = Api::load(&bench, &client).await;
        let read = |name: &str| {
            let path: PathBuf = bench.place.workspace.join("docs").join(name);
            std::fs::read_to_string(path).unwrap()
        };
        let (codes, access) = (codes(&read("errors.md")), access(&read("access.md")));
        let excepted = stack::settings::variable("ADVERSARY_EXCEPT").unwrap_or_default();
        let excepted = excepted.split(',').filter(|s| !s.is_empty());
        let excepted = excepted.map(str::to_owned).collect();
        let (known, reached) = (RefCell::default(), RefCell::default());
        Self { bench, api, network, client, codes, access, excepted, known, reached }
    }

    pub async fn database(&self, name: &str) -> PgConnection {
        let options = superuser(&self.bench.place, self.bench.ports.postgres).unwrap();
        options.database(name).connect().await.unwrap()
    }

    /// The newest mail to this address whose text says this: its code.
    pub fn code(&self, email: &str, says: &str) -> Option<String> {
        let folder = self.bench.place.dir.join("mail");
        let mut mails: Vec<_> =
            std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
        mails.sort();
        let to = format!("To: {email}");
        mails.iter().rev().find_map(|mail| {
            let text = std::fs::read_to_string(mail).ok()?;
            let fits = text.contains(&to) && text.contains(says);
            let code = text.split(['\n', ' ']).map(|word| word.trim_end_matches('.').trim());
            fits.then(|| code.clone().find(|word| is_code(word)).map(str::to_owned)).flatten()
        })
    }
}

fn is_code(word: &str) -> bool {
    word.len() == 11
        && word.as_bytes()[5] == b'-'
        && word.bytes().all(|b| b == b'-' || b.is_ascii_digit() || b.is_ascii_uppercase())
}

fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

fn codes(text: &str) -> HashMap<String, Vec<u16>> {
    let mut found: HashMap<String, Vec<u16>> = HashMap::new();
    for row in rows(text).filter(|row| row.len() >= 3) {
        if let (Some(code), Ok(status)) = (row[0].strip_prefix('`'), row[1].parse()) {
            found.entry(code.trim_end_matches('`').to_owned()).or_default().push(status);
        }
    }
    found
}

fn access(text: &str) -> HashMap<(String, String), HashMap<String, String>> {
    let mut found = HashMap::new();
    for section in text.split("\n## ").skip(1) {
        let service = section.lines().next().unwrap_or_default().to_owned();
        let mut rows = rows(section);
        let columns: Vec<_> = rows.next().into_iter().flatten().map(str::to_owned).collect();
        for row in rows.filter(|row| row[0].starts_with('`')) {
            let route = row[0].trim_matches('`').to_owned();
            let cells = columns.iter().zip(&row).skip(1);
            let cells = cells.map(|(column, cell)| (column.clone(), (*cell).to_owned()));
            found.insert((service.clone(), route), cells.collect());
        }
    }
    found
}
