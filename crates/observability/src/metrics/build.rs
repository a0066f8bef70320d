//! The running build: distinguishes a deployment from a restart.

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

/// Publishes the build soon, in the background, because the program is read from disk.
pub(super) fn announce(version: &'static str, runtime: &Handle) {
    runtime.spawn_blocking(move || match digest() {
        Ok(build) => BUILD.with_label_values(&[version, &build]).set(1),
        Err(error) => tracing::warn!(%error, "build unknown"),
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
