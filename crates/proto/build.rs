//! Generates the gRPC code with protox, so that no `protoc` is needed.

use std::path::PathBuf;
use std::{env, fs};

use anyhow::Context as _;
use prost::Message as _;

const PROTOS: [&str; 4] = [
    "proto/auth/v1/auth.proto",
    "proto/booking/v1/booking.proto",
    "proto/incidents/v1/incidents.proto",
    "proto/points/v1/points.proto",
];

fn main() -> anyhow::Result<()> {
    let descriptors = protox::compile(PROTOS, ["proto"])?;

    // The same descriptors feed the reflection service of every server.
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    tonic_prost_build::configure().compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}
