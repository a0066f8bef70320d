//! Incidents from outside: as Alertmanager, as an operator, as another service.

#![allow(unreachable_pub, reason = "a test crate exports nothing")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod app;
mod auth;
mod forgotten;
mod grouping;
mod hostile;
mod learning;
mod lifecycle;
mod listing;
mod notify;
mod pages;
mod problems;
mod refusal;
mod rollback;
mod session;
mod sinks;
mod sources;
mod status;
mod streams;
mod trouble;
mod trust;
mod watchdog;
mod webhook;
