//! Appointments with a merchant's staff, which cannot collide.
//!
//! A request crosses the modules in this order:
//!
//! * [`http`] and [`grpc`] turn a message into a command.
//! * [`app`] runs the command in one transaction.
//! * [`domain`] decides. It knows no clock, no database and no network.
//! * [`store`] is the SQL.
//!
//! Beside them, [`peers`] is what this service asks of others, [`metrics`] what it counts, and
//! [`config`] what an operator may set, and
//! [`seal`] keeps merchants' secrets.

pub mod app;
pub mod config;
pub mod domain;
pub mod grpc;
pub mod http;
mod metrics;
pub mod peers;
pub mod seal;
mod store;

/// The schema this service owns, embedded in the binary.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/booking");
