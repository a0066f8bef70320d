//! A directory of migrations and a database to run them against.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, ConnectOptions, PgPool};
use tokio::process::{Child, Command};

pub struct Bench {
    pub db: PgPool,
    dir: PathBuf,
}

/// The output of a run.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Bench {
    pub fn new(db: PgPool) -> Self {
        // `sqlx::test` names each database after its test, so the name is free.
        let name = db.connect_options().get_database().unwrap().to_owned();
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("points")).unwrap();
        Self { db, dir }
    }

    /// Writes two valid migrations: a table `one` and a table `two`.
    pub fn with_two(db: PgPool) -> Self {
        let bench = Self::new(db);
        bench.write("000001_one", "CREATE TABLE one (id int);", "DROP TABLE one;");
        bench.write("000002_two", "CREATE TABLE two (id int);", "DROP TABLE two;");
        bench
    }

    pub fn write(&self, name: &str, up: &str, down: &str) {
        let dir = self.dir.join("points");
        std::fs::write(dir.join(format!("{name}.up.sql")), up).unwrap();
        std::fs::write(dir.join(format!("{name}.down.sql")), down).unwrap();
    }

    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.join("points")).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn remove(&self, file: &str) {
        std::fs::remove_file(self.dir.join("points").join(file)).unwrap();
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_migrate"));
        command
            .args(arguments.split_whitespace())
            .env("MIGRATIONS_DIR", &self.dir)
            .env_remove("DATABASE_OWNER_URL")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub fn spawn(&self, arguments: &str) -> Child {
        let url = self.db.connect_options().to_url_lossy();
        self.command(arguments).env("POINTS_OWNER_URL", url.as_str()).spawn().unwrap()
    }

    pub async fn run_without_url(&self, arguments: &str) -> Said {
        said(self.command(arguments).spawn().unwrap()).await
    }

    pub async fn run(&self, arguments: &str) -> Said {
        said(self.spawn(arguments)).await
    }

    /// Runs the command, which must succeed.
    pub async fn ok(&self, arguments: &str) -> String {
        let said = self.run(arguments).await;
        assert_eq!(said.code, 0, "migrate {arguments}: {}", said.err);
        said.out
    }

    pub async fn has_table(&self, name: &str) -> bool {
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(name)
            .fetch_one(&self.db)
            .await
            .unwrap()
    }

    /// Waits until a query with one boolean returns true.
    pub async fn until(&self, query: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let now: bool = sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
                .fetch_one(&self.db)
                .await
                .unwrap_or(false);
            if now {
                return;
            }
            assert!(Instant::now() < deadline, "never true: {query}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub async fn said(child: Child) -> Said {
    let output = child.wait_with_output().await.unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
