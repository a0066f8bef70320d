//! The HTTP edge: extractors that answer bad input with a problem, and the layers around a router.
//!
//! * [`Json`] and [`Command`] read a body, [`Path`] and [`Query`] the URI. What cannot be read is 400,
//!   what was read and is wrong is 422 with the field's name, and neither repeats the input.
//! * [`edge`] is the finished public router.
//!
//! A route that must take more than 64 KiB says so: `.layer(Extension(BodyLimit(1 << 20)))`.

mod answer;
mod body;
mod decode;
mod describe;
mod front;
mod layers;
mod params;
mod strict;

use std::time::Duration;

pub use self::body::{Command, Json, RawForm, RawJson};
pub use self::describe::IdempotencyKey;
pub(crate) use self::front::Front;
pub use self::layers::{edge, edge_with, secured};
pub use self::params::{IfMatch, Path, Query, etag};

/// How large and how slow a request may be, and which routes have another quota.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest body, in bytes.
    pub body: BodyLimit,
    /// How long a client may take to send its body.
    pub body_timeout: Duration,
    /// How long a handler may take. A command that was begun goes on without its client.
    pub request_timeout: Duration,
    /// Routes, as they are registered, on which secrets can be guessed or mail be caused. They have a
    /// stricter quota, and it is counted by address.
    pub strict: &'static [&'static str],
    /// Routes that refuse nobody for asking too often.
    pub unlimited: &'static [&'static str],
    /// What the pages of `CORS_ALLOWED_ORIGINS` may do here.
    pub origins: Origins,
}

/// What pages of other origins may do with an API, from a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Nothing, whatever is configured: for a service with pages and a session of its own.
    Refused,
    /// Call and read, without the cookies that the browser keeps for us.
    Anonymous,
    /// Call and read, with those cookies.
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

/// The largest body a route takes, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit(pub usize);
