//! observability, tested from outside.
//!
//! A process has one subscriber, so every test needs a process of its own: `cargo nextest`.

#![allow(unreachable_pub, reason = "a test crate exports nothing")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod alert;
mod export;
mod grpc;
mod http;
mod log;
mod panics;
mod propagation;
mod shutdown;
mod support;
mod task;
