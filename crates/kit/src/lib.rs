//! The foundation of every service.
//!
//! * [`service`] starts a process; [`config`] has the settings that services share.
//! * [`command`], [`idempotency`] and [`postgres`] carry out a command once; [`outbox`] and [`inbox`] deliver
//!   events.
//! * [`error`] translates failures to HTTP and gRPC.
//! * [`http`] and [`grpc`] are the edges; [`caller`] authenticates callers, and [`revocation`] ends sessions.
//! * `limit` limits the requests of a client; [`page`] divides lists into pages.
//! * [`deadline`] is the time limit of the current request; [`clock`] is the only source of time and ids.
//! * [`serve`] has the listeners and the stop; [`health`] has the probes.
//! * [`redis`], [`cache`] and [`breaker`] make reads fast and outages harmless.
//! * [`jobs`] runs background work.

pub mod breaker;
pub mod cache;
pub mod caller;
mod channel;
pub mod clock;
pub mod command;
pub mod config;
pub mod deadline;
pub mod error;
#[cfg(debug_assertions)]
mod fault;
pub mod grpc;
pub mod health;
mod healthcheck;
pub mod http;
pub mod idempotency;
pub mod inbox;
pub mod jobs;
mod limit;
pub mod outbox;
pub mod page;
pub mod postgres;
pub mod process;
pub mod redis;
pub mod revocation;
pub mod serve;
pub mod service;

pub use caller::Caller;
pub use clock::Clock;
pub use error::{ApiError, Classify, FieldError, Kind};
pub use jobs::Jobs;
pub use service::{Base, Service, run};
