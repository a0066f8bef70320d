//! What every service stands on, and no service should write twice.
//!
//! * [`service`] is a process from configuration to its end; [`config`] reads what an operator may set.
//! * [`clock`] is the only place that reads the time or draws an id.
//! * [`error`] is the one table from what happened to how it looks on the wire.
//! * [`http`] and [`grpc`] are the edges; [`caller`] says who is asking, [`revocation`] who may no longer.
//! * [`limit`] is how much one client may ask.
//! * [`page`] is how lists are cut into pages.
//! * [`deadline`] says how long the current request may still take.
//! * [`serve`] is three listeners with one way to stop; [`health`] tells the truth about them.
//! * [`postgres`], [`command`], [`idempotency`], [`outbox`] and [`inbox`] keep promises.
//! * [`redis`], [`cache`] and [`breaker`] make it fast and keep it standing.
//! * [`jobs`] runs what nobody asked for.

pub mod breaker;
pub mod cache;
pub mod caller;
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
pub mod limit;
pub mod outbox;
pub mod page;
pub mod postgres;
pub mod redis;
pub mod revocation;
pub mod run;
pub mod serve;
pub mod service;

pub use caller::Caller;
pub use clock::Clock;
pub use error::{ApiError, Classify, FieldError, Kind};
pub use jobs::Jobs;
pub use service::{Base, Service, run};
