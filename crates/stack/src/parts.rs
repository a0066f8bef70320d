//! The parts of the stack. Each module says how one part is run and asked.

pub mod alertmanager;
pub mod jaeger;
pub mod line;
pub mod postgres;
pub mod prometheus;
pub mod redis;
pub mod service;
