//! Checks that the database has the schema that this release needs.

use std::collections::HashMap;

use anyhow::{Context as _, bail, ensure};
use sqlx::migrate::Migrator;
use sqlx::{PgConnection, Row as _};

use crate::process::Refusal;

/// Refuses pending, changed and dirty migrations, with the command that mends them. Newer migrations than
/// ours are accepted, because they keep the previous release working.
pub async fn check(
    connection: &mut PgConnection,
    service: &str,
    schema: &Migrator,
) -> anyhow::Result<()> {
    let applied = applied(connection, service).await?;
    if let Some((version, _)) = applied.iter().find(|(_, state)| !state.success) {
        bail!(Refusal(format!(
            "migration {version} died half way, so the schema is dirty; repair it, then run \
             `make migrate-force SERVICE={service} V=<version it is really at>`"
        )));
    }
    let ours: Vec<_> =
        schema.iter().filter(|migration| !migration.migration_type.is_down_migration()).collect();
    let pending: Vec<_> = ours
        .iter()
        .filter(|migration| !applied.contains_key(&migration.version))
        .map(|migration| migration.version.to_string())
        .collect();
    ensure!(
        pending.is_empty(),
        Refusal(format!(
            "pending migrations ({}): run `make migrate-up SERVICE={service}`",
            pending.join(", ")
        ))
    );
    for migration in ours {
        ensure!(
            applied
                .get(&migration.version)
                .is_some_and(|state| state.checksum == *migration.checksum),
            Refusal(format!(
                "migration {} was changed after it was applied: restore its file and write a new \
                 one",
                migration.version
            ))
        );
    }
    Ok(())
}

struct Applied {
    success: bool,
    checksum: Vec<u8>,
}

async fn applied(
    connection: &mut PgConnection,
    service: &str,
) -> anyhow::Result<HashMap<i64, Applied>> {
    // Not checked at compile time: the table is created by the migrator, not by a migration.
    let rows = sqlx::query("SELECT version, success, checksum FROM _sqlx_migrations")
        .fetch_all(connection)
        .await;
    let rows = match rows {
        Ok(rows) => rows,
        Err(sqlx::Error::Database(e)) if e.code().as_deref() == Some("42P01") => Vec::new(),
        Err(sqlx::Error::Database(e)) if e.code().as_deref() == Some("42501") => {
            bail!(Refusal(format!(
                "the role may not read _sqlx_migrations, which migration 1 grants: run `make migrate-up \
             SERVICE={service}`"
            )))
        }
        Err(e) => return Err(e).context("cannot read the applied migrations"),
    };
    rows.iter()
        .map(|row| {
            Ok((
                row.try_get("version")?,
                Applied { success: row.try_get("success")?, checksum: row.try_get("checksum")? },
            ))
        })
        .collect()
}
