//! PostgreSQL: a private cluster, with our roles and databases in it.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::signal::Signal;

use crate::place::{Place, write_private};
use crate::ports::SERVICES;
use crate::process::{Program, User};
use crate::ready::Probe;
use crate::supervise::Part;
use crate::tools::Tool;

/// The user that runs PostgreSQL when we are root, because PostgreSQL refuses to be.
pub const SERVER_USER: &str = "postgres";

/// The protection of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// Passwords, checksums, fsync: as in production.
    Kept,
    /// No passwords and no fsync: for a test run.
    Scratch,
}

/// A cluster on disk.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Owned by whoever runs the server; holds `cluster/`.
    home: PathBuf,
    user: Option<User>,
    port: u16,
    worth: Worth,
}

/// The user to run PostgreSQL as: ours, or `postgres` when we are root.
pub fn server_user() -> anyhow::Result<Option<User>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    let user = nix::unistd::User::from_name(SERVER_USER)?
        .context("there is no user `postgres` to run PostgreSQL as, and root may not")?;
    Ok(Some(User { uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
}

impl Cluster {
    /// The cluster in this place; made when there is none. True when it was.
    pub async fn open(place: &Place, port: u16, worth: Worth) -> anyhow::Result<(Self, bool)> {
        let user = server_user()?;
        let home = home(&place.data(), user)?;
        let cluster = Self { home, user, port, worth };
        let made = !cluster.data().join("PG_VERSION").exists();
        if made {
            cluster.init(place).await.context("cannot make the PostgreSQL cluster")?;
        }
        Ok((cluster, made))
    }

    fn data(&self) -> PathBuf {
        self.home.join("cluster")
    }

    /// Into a directory of another name first: an interrupted run leaves nothing half made.
    async fn init(&self, place: &Place) -> anyhow::Result<()> {
        let (new, password) = (self.home.join("new"), self.home.join("password"));
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        write_private(&password, &place.secret("postgres_password")?)?;
        if let Some(User { uid, gid }) = self.user {
            chown(&password, Some(uid), Some(gid))?;
        }
        let auth = if self.worth == Worth::Kept { "scram-sha-256" } else { "trust" };
        let mut arguments = vec![
            format!("--pgdata={}", new.display()),
            format!("--pwfile={}", password.display()),
            format!("--auth={auth}"),
            "--username=postgres".to_owned(),
            "--encoding=UTF8".to_owned(),
            "--no-locale".to_owned(),
            "--no-instructions".to_owned(),
        ];
        arguments.push(match self.worth {
            Worth::Kept => "--data-checksums".to_owned(),
            Worth::Scratch => "--no-sync".to_owned(),
        });
        let result = self.program(place, Tool::Initdb, arguments)?.run().await;
        fs::remove_file(&password)?;
        result?;
        Ok(fs::rename(&new, self.data())?)
    }

    pub fn part(&self, place: &Place) -> anyhow::Result<Part> {
        let mut settings = vec![
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            // No socket: its path may be too long, and nobody here needs one.
            "unix_socket_directories=".to_owned(),
            "max_connections=300".to_owned(),
            "shared_buffers=128MB".to_owned(),
            "log_lock_waits=on".to_owned(),
        ];
        if self.worth == Worth::Scratch {
            let fast =
                ["fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0"];
            settings.extend(fast.map(str::to_owned));
        }
        let mut arguments = vec![format!("-D{}", self.data().display())];
        arguments.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
        Ok(Part {
            name: "postgres".to_owned(),
            program: self.program(place, Tool::Postgres, arguments)?,
            probe: Probe::Postgres(self.port),
            // A fast shutdown: sessions are ended, what was committed is written.
            stop: Signal::SIGINT,
            grace: Duration::from_secs(20),
            endpoint: format!("127.0.0.1:{}", self.port),
        })
    }

    fn program(
        &self,
        place: &Place,
        tool: Tool,
        arguments: Vec<String>,
    ) -> anyhow::Result<Program> {
        Ok(Program {
            path: tool.path()?,
            arguments,
            environment: vec![("LC_ALL".to_owned(), "C".to_owned())],
            user: self.user,
            directory: self.home.clone(),
            stack: place.dir.clone(),
        })
    }

    /// Makes the databases and roles of `deployments/postgres/roles.sql`, or corrects them.
    pub async fn make_roles(&self, place: &Place) -> anyhow::Result<()> {
        let mut environment = vec![("PGPASSWORD".to_owned(), place.secret("postgres_password")?)];
        for service in SERVICES {
            for role in ["owner", "app"] {
                let name = format!("{service}_{role}_password");
                environment.push((name.to_ascii_uppercase(), place.secret(&name)?));
            }
        }
        let file = place.workspace.join("deployments/postgres/roles.sql");
        let mut arguments: Vec<String> =
            ["-X", "-q", "-h", "127.0.0.1", "-U", "postgres", "-d", "postgres"]
                .map(str::to_owned)
                .into();
        arguments.extend(["-p".to_owned(), self.port.to_string()]);
        if self.worth == Worth::Scratch {
            // Tests run many pools of one role at once.
            arguments.extend(["-v".to_owned(), "app_connections=-1".to_owned()]);
        }
        arguments.extend(["-f".to_owned(), file.display().to_string()]);
        let psql = Program {
            path: Tool::Psql.path()?,
            arguments,
            environment,
            user: None,
            directory: place.dir.clone(),
            stack: place.dir.clone(),
        };
        psql.run().await.context("cannot make the databases and roles")?;
        Ok(())
    }
}

/// The URL of a service's database, as its `owner` or `app` role.
pub fn url(place: &Place, port: u16, service: &str, role: &str) -> anyhow::Result<String> {
    let password = place.secret(&format!("{service}_{role}_password"))?;
    Ok(format!("postgres://{service}_{role}:{password}@127.0.0.1:{port}/{service}"))
}

/// A directory that the server's user owns and can reach: below `data` when it can go there, and
/// otherwise (a checkout in root's home) in /var/tmp, with a link to it in its place.
fn home(data: &Path, user: Option<User>) -> anyhow::Result<PathBuf> {
    let usual = data.join("postgres");
    if let Ok(known) = fs::canonicalize(&usual) {
        return Ok(known);
    }
    let Some(User { uid, gid }) = user else {
        fs::create_dir_all(&usual)?;
        return Ok(fs::canonicalize(&usual)?);
    };
    if can_enter(data, uid, gid)? {
        fs::create_dir(&usual)?;
        chown(&usual, Some(uid), Some(gid))?;
        return Ok(fs::canonicalize(&usual)?);
    }
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    let elsewhere = Path::new("/var/tmp").join(format!("stack-postgres-{:016x}", hasher.finish()));
    match fs::symlink_metadata(&elsewhere) {
        // Left by a stack whose directory, and so whose passwords, are gone.
        Ok(found) if found.is_dir() && found.uid() == uid => fs::remove_dir_all(&elsewhere)?,
        Ok(_) => bail!("{} is in the way, and not ours", elsewhere.display()),
        Err(_) => {}
    }
    fs::DirBuilder::new().mode(0o700).create(&elsewhere)?;
    chown(&elsewhere, Some(uid), Some(gid))?;
    let _ = fs::remove_file(&usual);
    symlink(&elsewhere, &usual)?;
    Ok(elsewhere)
}

/// Returns true when a user may pass through every directory down to this one.
fn can_enter(dir: &Path, uid: u32, gid: u32) -> anyhow::Result<bool> {
    let dir = fs::canonicalize(dir)?;
    for dir in dir.ancestors() {
        let found = fs::metadata(dir)?;
        let bit = match found {
            _ if found.uid() == uid => 0o100,
            _ if found.gid() == gid => 0o010,
            _ => 0o001,
        };
        if found.mode() & bit == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes a cluster, wherever it is.
pub fn remove(data: &Path) -> anyhow::Result<()> {
    let usual = data.join("postgres");
    if let Ok(elsewhere) = fs::read_link(&usual) {
        let ours = elsewhere.file_name().is_some_and(|n| n.to_string_lossy().starts_with("stack-"));
        ensure!(ours, "{} does not lead to a cluster of ours", usual.display());
        if elsewhere.exists() {
            fs::remove_dir_all(&elsewhere)?;
        }
    }
    Ok(())
}
