//! The edge: malformed requests, slow clients, limits, and the answers they get.

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
