//! Logs, traces, metrics and panic recovery, the same way in every service.
//!
//! * [`init`] starts all of it from a [`Config`]; the [`Guard`] flushes when it is dropped.
//! * [`context`] is who and what a piece of work belongs to. Log lines, spans and outgoing calls take
//!   their ids from it; [`carrier`] writes it down and takes it up again.
//! * [`http`] and [`grpc`] are one layer each around a server, and one around a gRPC client.
//! * [`panics`] turns a panic into a failure; [`task`] keeps background work alive.
//! * [`https`] is a client for what is not ours.
//! * [`alert`] tells people what cannot wait for a dashboard.
//! * [`metrics`] is the process's Prometheus registry.
//! * [`log`] is the line format and the writer behind it; [`log_level`] changes it while running.

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
