//! Shared by the tests, in the words of the domain.
//!
//! * [`http`] knocks on a router as a client would; [`grpc`] calls a service, or serves one.
//! * [`tokens`] signs what auth would sign; [`auth`] is an auth to fetch keys and tokens from.
//! * [`postgres`] connects as the role that a service has in production; [`redis`] finds the server.
//! * [`eventually`] waits for a condition, never for a time.

pub mod auth;
mod eventually;
pub mod grpc;
pub mod http;
pub mod postgres;
pub mod redis;
pub mod tokens;

pub use eventually::eventually;
