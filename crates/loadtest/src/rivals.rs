//! Scripts for pgbench: the same rows as our earn.

/// A statement at a time, as a service that follows the textbook does.
pub(crate) const TEXTBOOK: &str = include_str!("pgbench/textbook.sql");

/// Everything in one statement: the best that a command by itself can do.
pub(crate) const SINGLE: &str = include_str!("pgbench/single.sql");
