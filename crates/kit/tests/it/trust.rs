//! Authentication and authorization.

mod forged;
mod guard;
mod keys;
mod member;
mod mutual_tls;
mod peer;
mod revocation;
