//! The command from outside: the real binary, real files, a PostgreSQL database per test.

#![allow(unreachable_pub, reason = "a test crate exports nothing")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bench;
mod create;
mod dirty;
mod unpark;
mod up_and_down;
