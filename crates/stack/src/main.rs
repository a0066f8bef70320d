use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    stack::cli::run(stack::cli::Cli::parse()).await
}
