use std::collections::HashSet;
use std::sync::LazyLock;

/// What everybody tries first. The file names its source.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let file = include_str!("../../../data/common-passwords.txt");
    file.lines().filter(|line| !line.starts_with("# ")).collect()
});

/// Whatever the case: guessers vary that first.
pub(super) fn is_common(password: &str) -> bool {
    COMMON.contains(password.to_lowercase().as_str())
}
