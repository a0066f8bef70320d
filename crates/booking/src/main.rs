use std::process::ExitCode;

use booking::service::Service;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kit::run::<Service>(env!("CARGO_PKG_VERSION"))
}
