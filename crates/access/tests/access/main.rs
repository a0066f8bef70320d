//! Every route and method of every service, called by every caller. The routes come from the routers themselves, the
//! expected answers from `docs/access.md`: a new route without a row there fails.

#![allow(unreachable_pub, reason = "a test crate exports nothing")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bodies;
mod callers;
mod described;
mod doors;
mod methods;
mod routes;
mod schemas;
mod table;
mod worlds;
