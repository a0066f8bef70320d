//! The HTTP edge: extractors that answer malformed input with a problem, and the layers around a router.
//!
//! * [`Json`] and [`Command`] read a body, [`Path`] and [`Query`] the URI. Unreadable input is answered with
//!   400, invalid values with 422 and the field's name. Neither answer repeats the input.
//! * [`edge`] is the finished public router.
//!
//! A route that accepts more than 64 KiB is layered with `.layer(Extension(BodyLimit(1 << 20)))`.

mod answer;
mod body;
mod client_limits;
mod decode;
mod describe;
mod layers;
mod params;
mod strict;

use std::time::Duration;

pub use self::body::{Command, Json, RawForm, RawJson};
pub(crate) use self::client_limits::ClientLimits;
pub use self::describe::IdempotencyKey;
pub use self::layers::{edge, edge_with, secured};
pub use self::params::{IfMatch, Path, Query, etag};

/// Limits of requests, and the routes with another quota.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum body size.
    pub body: BodyLimit,
    /// Time limit for receiving a body.
    pub body_timeout: Duration,
    /// Time limit for a handler. A command that has begun continues without its client.
    pub request_timeout: Duration,
    /// Routes, as registered, where secrets can be guessed or emails be caused. They have a stricter quota,
    /// counted by address.
    pub strict: &'static [&'static str],
    /// Routes without a quota.
    pub unlimited: &'static [&'static str],
    /// The rights of pages of `CORS_ALLOWED_ORIGINS`.
    pub origins: Origins,
}

/// The rights of pages of other origins, in a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origins {
    /// None, even for configured origins. For a service with pages and sessions of its own.
    Refused,
    /// Call and read, without cookies.
    Anonymous,
    /// Call and read, with cookies.
    WithCookies,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: BodyLimit(64 * 1024),
            body_timeout: Duration::from_secs(8),
            request_timeout: Duration::from_secs(30),
            strict: &[],
            unlimited: &[],
            origins: Origins::Anonymous,
        }
    }
}

/// Maximum body size of a route, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit(pub usize);
