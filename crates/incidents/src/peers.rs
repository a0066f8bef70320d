//! The services this one calls.

mod sources;

pub use sources::Sources;
