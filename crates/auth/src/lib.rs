//! Accounts, logins and tokens; the keys with which the other services verify those tokens.
//!
//! [`service`] starts the process. A request crosses the modules in this order:
//!
//! * [`http`] and [`grpc`] turn a message into a command.
//! * [`app`] runs the command in one transaction.
//! * [`domain`] decides. It knows no clock, no database and no network.
//! * [`store`] is the SQL.
//!
//! Beside them, [`hasher`] bounds the cost of passwords, [`pepper`] is mixed into them, [`keyring`] encrypts secrets
//! and [`mailer`] sends mail.

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
pub mod service;
mod store;

/// The schema of this service, embedded in the binary.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/auth");
