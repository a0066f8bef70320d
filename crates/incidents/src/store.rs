//! The SQL. Every function takes a connection, so that the caller owns the transaction.

pub(crate) mod actions;
pub(crate) mod alerts;
pub(crate) mod heartbeats;
pub(crate) mod incidents;
mod list;
pub(crate) mod notices;
pub(crate) mod overview;
pub(crate) mod postmortems;
pub(crate) mod rollbacks;
pub(crate) mod targets;
pub(crate) mod timeline;
mod types;

pub(crate) use list::list;
