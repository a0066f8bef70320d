//! The points ledger: who earned what, where it came from, and what each account may still spend.
//!
//! A request crosses the modules in this order:
//!
//! * [`http`] and [`grpc`] turn a message into a command.
//! * [`app`] runs the command in one transaction.
//! * [`domain`] decides. It knows no clock, no database and no network.
//! * [`store`] is the SQL.

pub mod app;
pub mod config;
pub mod domain;
pub mod grpc;
pub mod http;
mod metrics;
mod store;

/// The schema this service owns, embedded in the binary.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/points");
