//! The SQL. Every function takes a connection, so that the caller owns the transaction.

pub(crate) mod alerts;
pub(crate) mod clocks;
pub(crate) mod heartbeats;
pub(crate) mod incidents;
pub(crate) mod learning;
mod list;
pub(crate) mod notices;
pub(crate) mod overview;
pub(crate) mod rollbacks;
pub(crate) mod story;

pub(crate) use list::list;
