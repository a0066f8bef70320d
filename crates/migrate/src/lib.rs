//! The migration command: `migrate <service|all> up | down | status | version | force | create | unpark`.
//!
//! * [`cli`] is the command line and its output.
//! * [`source`] reads `migrations/<service>/NNNNNN_name.{up,down}.sql`.
//! * [`session`] applies and reverts them, one process at a time.
//! * [`unpark`] releases parked events of the outbox.
//! * [`target`] finds the database of a service.
//! * [`error`] has the errors, each with its repair.
//!
//! It keeps `sqlx`'s own table (`_sqlx_migrations`), its checksums and its lock, so that a service
//! can check its schema with `sqlx::migrate!`. It adds what `sqlx` lacks on PostgreSQL: a migration is recorded
//! *before* it runs, so that one that dies half way is noticed.

pub mod cli;
pub mod error;
pub mod session;
pub mod source;
pub mod target;
pub mod unpark;

pub use error::Error;
