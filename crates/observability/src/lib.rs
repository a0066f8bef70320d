//! Logs, traces, metrics and panic recovery for every service.
//!
//! * [`init`] starts all of it from a [`Config`]; the [`Guard`] flushes when dropped.
//! * [`context`] is the context of a piece of work. Log lines, spans and outgoing calls take their ids from
//!   it; [`carrier`] serializes it.
//! * [`http`] and [`grpc`] are one layer each around a server, and one around a gRPC client.
//! * [`panics`] turns a panic into an error; [`task`] keeps background work running.
//! * [`https`] is a client for external services.
//! * [`alert`] sends alerts that cannot wait for a dashboard.
//! * [`metrics`] is the process's Prometheus registry.
//! * [`log`] is the line format and the writer; [`log_level`] changes the level at run time.

pub mod alert;
pub mod carrier;
pub mod config;
pub mod context;
pub mod grpc;
pub mod http;
pub mod https;
mod init;
pub mod log;
pub mod log_level;
pub mod metrics;
pub mod panics;
pub mod task;

pub use carrier::Carrier;
pub use config::Config;
pub use init::{Guard, Sinks, init, init_with};
pub use opentelemetry::trace::SpanKind;
