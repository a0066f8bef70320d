//! auth from outside, over both transports, each test on a database of its own.

#![allow(unreachable_pub, reason = "a test crate exports nothing")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod accounts;
mod app;
mod audiences;
mod bad_input;
mod canary;
mod closing;
mod enumeration;
mod forensics;
mod forgeries;
mod grants;
mod guessing;
mod keys;
mod mailing;
mod metrics;
mod notices;
mod operating;
mod ownership;
mod peppers;
mod profiles;
mod quotas;
mod recording;
mod recovery;
mod refreshing;
mod revocations;
mod services;
mod sessions;
mod silence;
mod smtp;
mod storms;
mod tokens;
