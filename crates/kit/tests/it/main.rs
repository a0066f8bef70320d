//! kit, tested from outside.

#![allow(unreachable_pub, reason = "a test crate exports nothing")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod data;
mod edge;
mod trust;
