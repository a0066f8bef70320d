//! The migration command: `migrate <service|all> up | down | status | version | force | create | unpark`.
//!
//! * [`cli`] is what an operator may type, and what it prints.
//! * [`source`] reads `migrations/<service>/NNNNNN_name.{up,down}.sql`.
//! * [`session`] applies and reverts them, one process at a time.
//! * [`unpark`] lets parked events of the outbox go again.
//! * [`target`] says where a service's database is.
//! * [`error`] says what went wrong and the way out.
//!
//! It keeps `sqlx`'s own table (`_sqlx_migrations`), its checksums and its lock, so that a service
//! can check with `sqlx::migrate!` what this command did. What `sqlx` lacks on PostgreSQL is added
//! here: a migration is recorded *before* it runs, so that one that dies half way is seen.

pub mod cli;
pub mod error;
pub mod session;
pub mod source;
pub mod target;
pub mod unpark;

pub use error::Error;
