use std::collections::HashSet;
use std::sync::LazyLock;

/// The most common passwords, in lower case. The file names its source.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let file = include_str!("../../../data/common-passwords.txt");
    file.lines().filter(|line| !line.starts_with("# ")).collect()
});

/// Compares in lower case, because guessers vary the case first.
pub(super) fn is_common(password: &str) -> bool {
    COMMON.contains(password.to_lowercase().as_str())
}
