//! The ledger from outside, over both transports, each test on a database of its own.

#![allow(unreachable_pub, reason = "a test crate exports nothing")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod accounts;
mod app;
mod bad_input;
mod campaign;
mod degraded;
mod earn;
mod gate;
mod history;
mod holds;
mod hot;
mod idempotency;
mod issuance;
mod ledger;
mod log;
mod merchants;
mod model;
mod movements;
mod reconcile;
mod redis_faults;
mod refused;
mod replicas;
mod rude_clients;
mod rules;
mod service_holds;
mod size;
mod statements;
mod transports;
