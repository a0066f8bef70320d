//! The migration files: `migrations/<service>/NNNNNN_name.{up,down}.sql`.

use std::fs;
use std::path::Path;

use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::Error;

/// A version, with the migrations up and down.
#[derive(Debug)]
pub struct Step {
    pub version: i64,
    pub name: String,
    pub up: Migration,
    pub down: Migration,
}

/// Lists the services with migrations, in alphabetical order.
pub fn services(dir: &Path) -> Result<Vec<String>, Error> {
    let unreadable = |e: std::io::Error| Error::Source { dir: dir.into(), reason: e.to_string() };
    let mut services = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.path().is_dir() {
            services.extend(entry.file_name().into_string());
        }
    }
    services.sort();
    Ok(services)
}

/// Reads the migrations of one service, in order. Each must have both files.
pub async fn read(dir: &Path, service: &str) -> Result<Vec<Step>, Error> {
    let dir = dir.join(service);
    let refuse = |reason: String| Error::Source { dir: dir.clone(), reason };

    let found = Migrator::new(dir.as_path()).await.map_err(|e| refuse(e.to_string()))?;
    let (ups, mut downs): (Vec<_>, Vec<_>) =
        found.iter().cloned().partition(|m| m.migration_type != MigrationType::ReversibleDown);

    let mut steps: Vec<Step> = Vec::new();
    for up in ups {
        let (version, name) = (up.version, up.description.replace(' ', "_"));
        if up.migration_type == MigrationType::Simple {
            return Err(refuse(format!(
                "{version:06}_{name}.sql must be two files, .up.sql and .down.sql"
            )));
        }
        if steps.last().is_some_and(|last| last.version == version) {
            return Err(refuse(format!("two migrations have the number {version:06}")));
        }
        let Some(down) = downs.iter().position(|down| down.version == version) else {
            return Err(refuse(format!("{version:06}_{name}.down.sql is missing")));
        };
        steps.push(Step { version, name, up, down: downs.remove(down) });
    }
    match downs.first() {
        None => Ok(steps),
        Some(down) => Err(refuse(format!("{:06} has a .down.sql and no .up.sql", down.version))),
    }
}

/// Writes the two empty files of the next version; returns their names.
pub fn create(dir: &Path, service: &str, name: &str, steps: &[Step]) -> Result<[String; 2], Error> {
    let name = name.replace([' ', '-'], "_").to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(Error::Usage(format!(
            "name `{name}` must have only letters, digits and underscores"
        )));
    }
    let version = steps.last().map_or(1, |last| last.version + 1);
    let dir = dir.join(service);
    let write = |way: &str, text: &str| {
        let file = format!("{version:06}_{name}.{way}.sql");
        fs::File::create_new(dir.join(&file))
            .and_then(|mut f| std::io::Write::write_all(&mut f, text.as_bytes()))
            .map_err(|e| Error::Source { dir: dir.clone(), reason: format!("{file}: {e}") })?;
        Ok::<_, Error>(file)
    };
    Ok([
        write("up", "-- Name every constraint; grant the app role exactly the verbs it uses.\n")?,
        write("down", "-- Takes back exactly what the .up.sql does.\n")?,
    ])
}
