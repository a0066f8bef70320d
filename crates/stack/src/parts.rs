//! What the stack is made of. Each module says how one part is run and asked.

pub mod alertmanager;
pub mod jaeger;
pub mod line;
pub mod postgres;
pub mod prometheus;
pub mod redis;
pub mod service;
