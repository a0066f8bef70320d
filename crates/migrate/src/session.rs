//! One service's database, locked, with its migrations.
//!
//! The statements are not checked at compile time: they concern `sqlx`'s own table, which this command creates.

use std::time::{Duration, Instant};

use sqlx::migrate::{Migrate, MigrateError};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use crate::Error;
use crate::source::Step;

const TABLE: &str = "_sqlx_migrations";

/// `execution_time` of a row whose migration is being applied, as `sqlx` writes it.
const APPLYING: i64 = -1;
/// `execution_time` of a row whose migration is being reverted.
const REVERTING: i64 = -2;

/// A row of `_sqlx_migrations`. `success` is false from before a migration runs until it is done.
#[derive(Debug, sqlx::FromRow)]
pub struct Record {
    pub version: i64,
    pub description: String,
    pub success: bool,
    pub checksum: Vec<u8>,
    /// Nanoseconds, or `APPLYING` or `REVERTING`.
    pub execution_time: i64,
    pub installed_on: String,
}

/// A migration that was just applied or reverted.
#[derive(Debug)]
pub struct Done {
    pub version: i64,
    pub name: String,
    pub took: Duration,
}

/// Holds the database's migration lock until it is dropped.
pub struct Session {
    service: String,
    steps: Vec<Step>,
    records: Vec<Record>,
    db: PgConnection,
}

impl Session {
    /// Connects as the owner and waits up to `wait` for the lock.
    pub async fn open(
        service: &str,
        target: &PgConnectOptions,
        steps: Vec<Step>,
        wait: Duration,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Database { service: service.to_owned(), source };
        let mut db = PgConnection::connect_with(target).await.map_err(failed)?;
        // When this process is killed, the server must notice, roll back and release the lock, even in the middle of a
        // long statement.
        set(&mut db, "client_connection_check_interval", "500ms").await.map_err(failed)?;
        // 0 means no timeout.
        set(&mut db, "lock_timeout", &format!("{}ms", wait.as_millis().max(1)))
            .await
            .map_err(failed)?;
        db.lock().await.map_err(|e| match e {
            MigrateError::Execute(e) if is_lock_timeout(&e) => {
                Error::Locked { service: service.to_owned() }
            }
            e => failed(into_sqlx(e)),
        })?;
        // A migration that waits for a table lock blocks all requests that come after it.
        set(&mut db, "lock_timeout", "5s").await.map_err(failed)?;
        db.ensure_migrations_table(TABLE).await.map_err(|e| failed(into_sqlx(e)))?;
        let mut session = Self { service: service.to_owned(), steps, records: Vec::new(), db };
        session.reload().await?;
        Ok(session)
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The newest version that is applied completely; 0 for none.
    pub fn version(&self) -> i64 {
        self.records.iter().filter(|r| r.success).map(|r| r.version).max().unwrap_or(0)
    }

    /// Refuses a dirty schema and files that disagree with what was applied.
    pub fn check(&self) -> Result<(), Error> {
        let service = self.service.clone();
        let latest = self.version();
        if let Some(dirty) = self.dirty(None) {
            return Err(dirty);
        }
        for record in &self.records {
            let (version, name) = (record.version, file_name(record));
            match self.step(version) {
                None => return Err(Error::Gone { service, version, name }),
                Some(step) if step.up.checksum.as_ref() != record.checksum => {
                    return Err(Error::Changed { service, version, latest, name });
                }
                Some(_) => {}
            }
        }
        match self.steps.iter().find(|s| s.version < latest && self.record(s.version).is_none()) {
            None => Ok(()),
            Some(late) => {
                let (version, name) = (late.version, late.name.clone());
                Err(Error::OutOfOrder { service, version, latest, name })
            }
        }
    }

    /// Applies pending migrations, `limit` at most; calls `report` for each.
    pub async fn up(&mut self, limit: usize, report: impl Fn(&Done)) -> Result<usize, Error> {
        self.check()?;
        let mut done = 0;
        while let Some(index) = self.steps.iter().position(|s| self.record(s.version).is_none())
            && done < limit
        {
            let step = &self.steps[index];
            let started = Instant::now();
            let (version, name) = (step.version, step.name.clone());
            let result = apply(&mut self.db, step).await;
            self.settle(result, version).await?;
            report(&Done { version, name, took: started.elapsed() });
            done += 1;
        }
        Ok(done)
    }

    /// Reverts the newest migrations, `limit` at most; calls `report` for each.
    pub async fn down(&mut self, limit: usize, report: impl Fn(&Done)) -> Result<usize, Error> {
        self.check()?;
        let mut done = 0;
        while let Some(index) = self.steps.iter().rposition(|s| self.record(s.version).is_some())
            && done < limit
        {
            let step = &self.steps[index];
            let started = Instant::now();
            let (version, name) = (step.version, step.name.clone());
            let result = revert(&mut self.db, step).await;
            self.settle(result, version).await?;
            report(&Done { version, name, took: started.elapsed() });
            done += 1;
        }
        Ok(done)
    }

    /// Says that the schema is exactly at `version` (0 for empty). Runs no migration.
    pub async fn force(&mut self, version: i64) -> Result<(), Error> {
        if version != 0 && self.step(version).is_none() {
            let known: Vec<_> = self.steps.iter().map(|s| s.version.to_string()).collect();
            return Err(Error::Usage(format!(
                "{} has no migration {version}; there are 0, {}",
                self.service,
                known.join(", ")
            )));
        }
        let result = force(&mut self.db, &self.steps, version).await;
        result.map_err(|source| self.failed(source))?;
        self.reload().await
    }

    /// After a migration: what the table says now, and what a failure means.
    async fn settle(&mut self, result: sqlx::Result<()>, version: i64) -> Result<(), Error> {
        let reason = match result {
            Ok(()) => return self.reload().await,
            Err(error) if error.as_database_error().is_none() => return Err(self.failed(error)),
            Err(error) => error.to_string(),
        };
        self.reload().await?;
        match self.dirty(Some(reason.clone())) {
            Some(dirty) => Err(dirty),
            None => {
                let name = self.step(version).map(|s| s.name.clone()).unwrap_or_default();
                Err(Error::RolledBack { service: self.service.clone(), version, name, reason })
            }
        }
    }

    fn dirty(&self, reason: Option<String>) -> Option<Error> {
        let dirty = self.records.iter().find(|r| !r.success)?;
        let before = self.records.iter().map(|r| r.version).filter(|v| *v < dirty.version).max();
        let step = self.step(dirty.version);
        let reverting = dirty.execution_time == REVERTING;
        Some(Error::Dirty {
            service: self.service.clone(),
            version: dirty.version,
            previous: before.unwrap_or(0),
            name: file_name(dirty),
            transactional: step.is_some_and(|s| !if reverting { s.down.no_tx } else { s.up.no_tx }),
            reverting,
            reason,
        })
    }

    async fn reload(&mut self) -> Result<(), Error> {
        let rows = sqlx::query_as(
            "SELECT version, description, success, checksum, execution_time, \
             to_char(installed_on AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS installed_on \
             FROM _sqlx_migrations ORDER BY version",
        )
        .fetch_all(&mut self.db)
        .await;
        self.records = rows.map_err(|source| self.failed(source))?;
        Ok(())
    }

    fn step(&self, version: i64) -> Option<&Step> {
        self.steps.iter().find(|s| s.version == version)
    }

    fn record(&self, version: i64) -> Option<&Record> {
        self.records.iter().find(|r| r.version == version)
    }

    fn failed(&self, source: sqlx::Error) -> Error {
        Error::Database { service: self.service.clone(), source }
    }
}

/// Applies a migration. Its row is committed first, as not successful; it becomes successful together with the effect.
async fn apply(db: &mut PgConnection, step: &Step) -> sqlx::Result<()> {
    let started = Instant::now();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES ($1, $2, false, $3, $4)",
    )
    .bind(step.version)
    .bind(&*step.up.description)
    .bind(&*step.up.checksum)
    .bind(APPLYING)
    .execute(&mut *db)
    .await?;

    if step.up.no_tx {
        sqlx::raw_sql(step.up.sql.clone()).execute(&mut *db).await?;
        return finish(db, step.version, started).await;
    }
    let mut tx = db.begin().await?;
    let result = match sqlx::raw_sql(step.up.sql.clone()).execute(&mut *tx).await {
        Ok(_) => finish(&mut tx, step.version, started).await,
        Err(error) => Err(error),
    };
    match result {
        // A deferred constraint fails at COMMIT; then the server has rolled back.
        Ok(()) => match tx.commit().await {
            Ok(()) => Ok(()),
            Err(error) => forget(db, step.version).await.and(Err(error)),
        },
        Err(error) => {
            tx.rollback().await?;
            forget(db, step.version).await.and(Err(error))
        }
    }
}

async fn finish(db: &mut PgConnection, version: i64, started: Instant) -> sqlx::Result<()> {
    let nanos = i64::try_from(started.elapsed().as_nanos()).unwrap_or(i64::MAX);
    sqlx::query(
        "UPDATE _sqlx_migrations SET success = true, execution_time = $2, installed_on = now() \
         WHERE version = $1",
    )
    .bind(version)
    .bind(nanos)
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes the row of a migration that was rolled back.
async fn forget(db: &mut PgConnection, version: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = $1")
        .bind(version)
        .execute(db)
        .await?;
    Ok(())
}

async fn revert(db: &mut PgConnection, step: &Step) -> sqlx::Result<()> {
    mark(db, step.version, false, REVERTING).await?;
    if step.down.no_tx {
        sqlx::raw_sql(step.down.sql.clone()).execute(&mut *db).await?;
        return forget(db, step.version).await;
    }
    let mut tx = db.begin().await?;
    let result = match sqlx::raw_sql(step.down.sql.clone()).execute(&mut *tx).await {
        Ok(_) => forget(&mut tx, step.version).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => match tx.commit().await {
            Ok(()) => Ok(()),
            Err(error) => mark(db, step.version, true, APPLYING).await.and(Err(error)),
        },
        Err(error) => {
            tx.rollback().await?;
            mark(db, step.version, true, APPLYING).await.and(Err(error))
        }
    }
}

async fn mark(db: &mut PgConnection, version: i64, success: bool, time: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE _sqlx_migrations SET success = $2, execution_time = $3 WHERE version = $1")
        .bind(version)
        .bind(success)
        .bind(time)
        .execute(db)
        .await?;
    Ok(())
}

async fn force(db: &mut PgConnection, steps: &[Step], version: i64) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version > $1")
        .bind(version)
        .execute(&mut *tx)
        .await?;
    for step in steps.iter().filter(|s| s.version <= version) {
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES ($1, $2, true, $3, $4) ON CONFLICT (version) DO UPDATE SET \
             description = excluded.description, success = true, checksum = excluded.checksum",
        )
        .bind(step.version)
        .bind(&*step.up.description)
        .bind(&*step.up.checksum)
        .bind(APPLYING)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await
}

/// Sets a parameter for this session.
async fn set(db: &mut PgConnection, name: &str, value: &str) -> sqlx::Result<()> {
    sqlx::query("SELECT set_config($1, $2, false)").bind(name).bind(value).execute(db).await?;
    Ok(())
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|e| e.code()).is_some_and(|code| code == "55P03")
}

fn into_sqlx(error: MigrateError) -> sqlx::Error {
    match error {
        MigrateError::Execute(error) => error,
        other => sqlx::Error::Migrate(Box::new(other)),
    }
}

fn file_name(record: &Record) -> String {
    record.description.replace(' ', "_")
}
