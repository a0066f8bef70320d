//! The errors, each with its repair.

use std::path::PathBuf;

/// A failure of the command. Never holds a database URL.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Usage(String),

    #[error("cannot read the migrations in {}: {reason}", .dir.display())]
    Source { dir: PathBuf, reason: String },

    /// `reason` is `None` when an earlier run left the schema dirty.
    #[error(
        "{service}: migration {version} ({name}) {} half way, so the schema is dirty{}\n{}",
        if *.reverting { "was being reverted and died" } else { "died" },
        .reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default(),
        repair(.service, *.version, *.previous, *.transactional, *.reverting)
    )]
    Dirty {
        service: String,
        version: i64,
        previous: i64,
        name: String,
        transactional: bool,
        reverting: bool,
        reason: Option<String>,
    },

    #[error(
        "{service}: migration {version} ({name}) was changed after it was applied.\n\
         Restore the file and write a new migration instead. If the database really has the \
         changed content: `migrate {service} force {latest}`"
    )]
    Changed { service: String, version: i64, latest: i64, name: String },

    #[error(
        "{service}: migration {version} ({name}) is applied, but its files are gone.\n\
         Restore them, or run a `migrate` that has them."
    )]
    Gone { service: String, version: i64, name: String },

    #[error(
        "{service}: migration {version} ({name}) comes before {latest}, which is already applied.\n\
         Give it a number after {latest}: a database must get its migrations in order."
    )]
    OutOfOrder { service: String, version: i64, latest: i64, name: String },

    #[error(
        "{service}: migration {version} ({name}) failed and was rolled back; nothing of it is left: {reason}"
    )]
    RolledBack { service: String, version: i64, name: String, reason: String },

    #[error("{service}: another migration is running on this database; try again later")]
    Locked { service: String },

    #[error("{service}: database failure: {source}")]
    Database { service: String, source: sqlx::Error },
}

impl Error {
    /// The exit code, after `sysexits.h`: 64 usage, 65 invalid schema or files, 69 no database, 70 a migration failed
    /// and was rolled back, 75 try again.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Source { .. } => 64,
            Self::Dirty { .. }
            | Self::Changed { .. }
            | Self::Gone { .. }
            | Self::OutOfOrder { .. } => 65,
            Self::Database { .. } => 69,
            Self::RolledBack { .. } => 70,
            Self::Locked { .. } => 75,
        }
    }
}

fn repair(
    service: &str,
    version: i64,
    previous: i64,
    transactional: bool,
    reverting: bool,
) -> String {
    match (transactional, reverting) {
        (true, false) => format!(
            "It ran in one transaction, so nothing of it is left. Record that, and run it again:\n  \
             migrate {service} force {previous}\n  migrate {service} up"
        ),
        (true, true) => format!(
            "It ran in one transaction, so all of it is still there. Record that, and run it again:\n  \
             migrate {service} force {version}\n  migrate {service} down 1"
        ),
        (false, _) => format!(
            "It runs outside a transaction, so a part of it may be there. Compare the database with \
             the file, then either remove that part and record\n  migrate {service} force {previous}\n\
             or complete it by hand and record\n  migrate {service} force {version}"
        ),
    }
}
