//! The SQL. Every function takes a connection; the caller owns the transaction.

pub(crate) mod attempts;
pub(crate) mod clients;
pub(crate) mod codes;
pub(crate) mod devices;
pub(crate) mod events;
pub(crate) mod keys;
pub(crate) mod members;
pub(crate) mod notices;
pub(crate) mod sessions;
