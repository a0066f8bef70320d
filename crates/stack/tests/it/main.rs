//! The whole system, run as one runs it: real programs, real servers, each test a stack of its own.

#![allow(unreachable_pub, reason = "a test crate exports nothing")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![expect(clippy::print_stderr, reason = "a test says what it has measured")]

mod bench;
mod browser;
mod campaign;
mod chaos;
mod closed;
mod crash;
mod exec;
mod load;
mod lockout;
mod outage;
mod refusal;
mod start;
mod storm;
mod story;
mod tls;
mod trace;
