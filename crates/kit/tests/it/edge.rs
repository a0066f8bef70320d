//! The edge: what a client may send, how long it may take, and what it reads.

mod bad_input;
mod errors;
mod full;
mod headers;
mod health;
mod logs;
mod origins;
mod process;
mod quotas;
mod slow_clients;
mod stop;
mod wire;
pub mod world;
