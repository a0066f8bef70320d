//! Who somebody is, and how the other services can tell.
//!
//! A request crosses the modules in this order:
//!
//! * [`http`] and [`grpc`] turn a message into a command.
//! * [`app`] runs the command in one transaction.
//! * [`domain`] decides. It knows no clock, no database and no network.
//! * [`store`] is the SQL.
//!
//! Beside them, [`hasher`] bounds what passwords cost, [`pepper`] is mixed into them, [`keyring`] keeps secrets
//! secret and [`mailer`] sends mail.

pub mod app;
pub mod config;
pub mod domain;
pub mod grpc;
pub mod hasher;
pub mod http;
pub mod keyring;
pub mod mailer;
mod metrics;
pub mod pepper;
mod store;

/// The schema this service owns, embedded in the binary.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/auth");
