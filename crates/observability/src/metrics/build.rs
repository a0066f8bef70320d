//! Which build runs: what tells a deployment from a process that was started again.

use std::fs::File;
use std::io::Read;
use std::sync::LazyLock;

use prometheus::IntGaugeVec;
use ring::digest::{Context, SHA256};
use tokio::runtime::Handle;

use super::registry;

static BUILD: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    registry::gauge_vec(
        "build_info",
        "1. The version, and the build: the beginning of the SHA-256 of the program.",
        &["version", "build"],
    )
});

/// Says so soon. Not at once: the program is read from the disk, and nobody waits for that.
pub(super) fn announce(version: &'static str, runtime: &Handle) {
    runtime.spawn_blocking(move || match digest() {
        Ok(build) => BUILD.with_label_values(&[version, &build]).set(1),
        Err(error) => tracing::warn!(%error, "which build this is stays unknown"),
    });
}

fn digest() -> std::io::Result<String> {
    let mut program = File::open(std::env::current_exe()?)?;
    let mut digest = Context::new(&SHA256);
    let mut part = vec![0; 64 * 1024];
    loop {
        match program.read(&mut part)? {
            0 => break,
            read => digest.update(&part[..read]),
        }
    }
    Ok(digest.finish().as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect())
}
