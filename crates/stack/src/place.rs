//! Paths of the stack's files and directories.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The directories of one stack.
#[derive(Clone, Debug)]
pub struct Place {
    /// Everything that belongs to this stack: state, data, secrets, logs.
    pub dir: PathBuf,
    /// The checkout, for `migrations/` and `deployments/`.
    pub workspace: PathBuf,
    /// The directory of the services' programs: this program's own.
    pub binaries: PathBuf,
}

impl Place {
    /// Makes the directories that are missing, and closes all of them to others. Under root, the user that runs
    /// PostgreSQL passes through two of them without seeing what is there.
    pub fn create(&self) -> anyhow::Result<()> {
        let passage = if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 };
        for (dir, mode) in [
            (self.dir.clone(), passage),
            (self.data(), passage),
            (self.logs(), 0o700),
            (self.secrets(), 0o700),
            (self.config(), 0o700),
        ] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(&dir)
                // also one that an older version of this program has made
                .and_then(|()| fs::set_permissions(&dir, fs::Permissions::from_mode(mode)))
                .with_context(|| dir.display().to_string())?;
        }
        Ok(())
    }

    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    pub fn log(&self, part: &str) -> PathBuf {
        self.logs().join(format!("{part}.log"))
    }

    pub fn secrets(&self) -> PathBuf {
        self.dir.join("secrets")
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn config(&self) -> PathBuf {
        self.dir.join("config")
    }

    /// Programs that were switched to, and which one is live.
    pub fn versions(&self) -> PathBuf {
        self.dir.join("versions")
    }

    pub fn board(&self) -> PathBuf {
        self.dir.join("state.json")
    }

    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// The request to the daemon; written by other commands, see [`crate::daemon`].
    pub fn request(&self) -> PathBuf {
        self.dir.join("request")
    }

    /// A program of ours.
    pub fn program(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// The secret of this name; made on first use. Hexadecimal, so that it needs no escaping.
    pub fn secret(&self, name: &str) -> anyhow::Result<String> {
        let path = self.secrets().join(name);
        if let Ok(secret) = fs::read_to_string(&path)
            && !secret.is_empty()
        {
            return Ok(secret);
        }
        let bytes: [u8; 32] = rand::random();
        let secret: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        self.keep(name, &secret)?;
        Ok(secret)
    }

    /// Keeps a secret in a file of its own, for the owner only; returns the path.
    pub fn keep(&self, name: &str, secret: &str) -> anyhow::Result<PathBuf> {
        let path = self.secrets().join(name);
        write_private(&path, secret)?;
        Ok(path)
    }
}

/// Writes a file that only its owner can read, all of it or nothing.
pub fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| path.display().to_string())
}
