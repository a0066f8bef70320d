//! Incidents from Alertmanager's alerts: deduplicated, grouped, classified, and followed until they are resolved.
//!
//! A request crosses the modules in this order:
//!
//! * [`http`] and [`grpc`] turn a message into a command.
//! * [`app`] runs the command in one transaction.
//! * [`domain`] decides. It knows no clock, no database and no network.
//! * [`store`] is the SQL.
//!
//! [`pages`] is what people see; [`channels`] how they are told; [`peers`] the services this one calls;
//! [`executor`] takes a service back; [`jobs`] runs what nobody asked for; [`report`] sums up a month.

pub mod app;
pub mod channels;
pub mod config;
pub mod domain;
pub mod executor;
pub mod grpc;
pub mod http;
pub mod jobs;
mod metrics;
mod pages;
pub mod peers;
pub mod report;
mod store;

/// The schema this service owns, embedded in the binary.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/incidents");
