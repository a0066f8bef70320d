//! Incidents from Alertmanager's alerts: deduplicated, grouped, classified, and followed until they are resolved.
//!
//! A request crosses the modules in this order:
//!
//! * [`http`] and [`grpc`] turn a message into a command.
//! * [`app`] runs the command in one transaction.
//! * [`domain`] decides. It knows no clock, no database and no network.
//! * [`store`] is the SQL.
//!
//! [`view`] is the data that is read and answered, [`pages`] shows it to people; [`channels`] notifies them;
//! [`peers`] are the services that this one calls; [`executor`] carries out rollbacks; [`report`] summarizes a
//! month. [`service`] is the process.

pub mod app;
pub mod channels;
pub mod config;
pub mod domain;
pub mod executor;
pub mod grpc;
pub mod http;
mod metrics;
mod pages;
pub mod peers;
pub mod report;
mod service;
mod store;
pub mod view;

pub use service::Service;

/// The schema this service owns, embedded in the binary.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/incidents");
