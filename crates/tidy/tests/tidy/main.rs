//! The rules of `docs/architecture.md`, as tests. Each names the rule it guards, the file that broke
//! it, and nothing else.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(unreachable_pub, reason = "a test crate exports nothing")]

mod code;
mod docs;
mod files;
mod imports;
mod layers;
mod migrations;
mod runbooks;
mod words;
