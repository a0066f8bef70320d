//! Finds the programs of others, and says how to get the missing ones.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A program we need and do not build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Initdb,
    Postgres,
    Psql,
    Redis,
    Prometheus,
    Alertmanager,
}

impl Tool {
    pub const ALL: [Self; 6] = [
        Self::Initdb,
        Self::Postgres,
        Self::Psql,
        Self::Redis,
        Self::Prometheus,
        Self::Alertmanager,
    ];
    /// The tools that [`crate::exec`] needs.
    pub const DATA: [Self; 4] = [Self::Initdb, Self::Postgres, Self::Psql, Self::Redis];

    /// Its names, the likeliest first.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Initdb => &["initdb"],
            Self::Postgres => &["postgres"],
            Self::Psql => &["psql"],
            Self::Redis => &["redis-server"],
            Self::Prometheus => &["prometheus"],
            Self::Alertmanager => &["alertmanager", "prometheus-alertmanager"],
        }
    }

    pub fn name(self) -> &'static str {
        self.names()[0]
    }

    fn debian(self) -> &'static str {
        match self {
            Self::Initdb | Self::Postgres | Self::Psql => "postgresql",
            Self::Redis => "redis-server",
            Self::Prometheus => "prometheus",
            Self::Alertmanager => "prometheus-alertmanager",
        }
    }

    fn homebrew(self) -> &'static str {
        match self {
            Self::Initdb | Self::Postgres | Self::Psql => "postgresql@18",
            Self::Redis => "redis",
            Self::Prometheus => "prometheus",
            Self::Alertmanager => "alertmanager",
        }
    }

    /// On PATH, or where distributions hide it.
    pub fn find(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        self.find_in(&path, Path::new("/"))
    }

    fn find_in(self, path: &OsString, root: &Path) -> Option<PathBuf> {
        let mut dirs: Vec<PathBuf> = std::env::split_paths(path).collect();
        let newest_first = |dir: &str| {
            let mut found: Vec<_> = std::fs::read_dir(root.join(dir))
                .map(|entries| entries.flatten().map(|e| e.path()).collect())
                .unwrap_or_default();
            found.sort();
            found.reverse();
            found
        };
        dirs.extend(newest_first("usr/lib/postgresql").iter().map(|dir| dir.join("bin")));
        for opt in ["opt/homebrew/opt", "usr/local/opt"] {
            dirs.extend(newest_first(opt).iter().map(|dir| dir.join("bin")));
        }
        dirs.push(root.join("usr/sbin"));
        dirs.iter()
            .flat_map(|dir| self.names().iter().map(move |name| dir.join(name)))
            .find(|file| file.is_file())
    }

    /// On PATH, or an error with its name.
    pub fn path(self) -> anyhow::Result<PathBuf> {
        self.find().ok_or_else(|| anyhow::anyhow!("{} is missing", self.name()))
    }
}

/// The command that installs them.
pub fn how_to_install(missing: &[Tool]) -> String {
    let on_mac = cfg!(target_os = "macos");
    let mut packages: Vec<_> =
        missing.iter().map(|t| if on_mac { t.homebrew() } else { t.debian() }).collect();
    packages.dedup();
    let packages = packages.join(" ");
    match (on_mac, nix::unistd::geteuid().is_root()) {
        (true, _) => format!("brew install {packages}"),
        (_, true) => format!("apt-get install -y --no-install-recommends {packages}"),
        (_, false) => format!("sudo apt-get install -y --no-install-recommends {packages}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_postgresql_is_found_where_debian_hides_it() {
        let root = std::env::temp_dir().join(format!("stack-tools-{}", std::process::id()));
        for version in ["14", "15"] {
            let bin = root.join("usr/lib/postgresql").join(version).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            std::fs::write(bin.join("initdb"), "").unwrap();
        }
        let found = Tool::Initdb.find_in(&OsString::new(), &root).unwrap();
        assert!(found.ends_with("15/bin/initdb"), "{}", found.display());
        assert_eq!(Tool::Redis.find_in(&OsString::new(), &root), None);
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn one_package_is_named_once() {
        let command = how_to_install(&[Tool::Initdb, Tool::Postgres, Tool::Redis]);
        assert_eq!(command.matches("postgresql").count(), 1, "{command}");
        assert!(command.contains("redis"), "{command}");
    }
}
