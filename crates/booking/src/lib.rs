//! Appointments with a merchant's staff, which cannot collide.
//!
//! A request crosses the modules in this order:
//!
//! * [`http`] and [`grpc`] turn a message into a command.
//! * [`app`] runs the command in one transaction.
//! * [`domain`] decides. It knows no clock, no database and no network.
//! * [`store`] is the SQL.
//!
//! [`view`] has the values that are read and answered. [`peers`] are the services that booking calls, [`metrics`] its
//! counters, and [`seal`] the encryption of merchants' secrets. [`service`] is the process, and [`config`] its
//! configuration.

pub mod app;
pub mod config;
pub mod domain;
pub mod grpc;
pub mod http;
mod metrics;
pub mod peers;
pub mod seal;
pub mod service;
mod store;
pub mod view;

/// The schema of this service, embedded in the binary.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/booking");
