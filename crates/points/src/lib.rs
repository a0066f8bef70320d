//! The points ledger: the points that members earn, hold and spend, and the source of each.
//!
//! A request crosses the modules in this order:
//!
//! * [`http`] and [`grpc`] turn a message into a command.
//! * [`app`] has the use cases. Those that move points use the [`ledger`]: start reading there.
//! * [`domain`] decides. It knows no clock, no database and no network.
//! * [`store`] is the SQL.
//! * [`view`] has the answers, and [`error`] the failures.

pub mod app;
mod balance_cache;
pub mod config;
pub mod domain;
pub mod error;
pub mod grpc;
pub mod http;
mod ledger;
mod metrics;
mod service;
mod store;
pub mod view;

pub use service::Service;

/// The schema of this service, embedded in the binary.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/points");
