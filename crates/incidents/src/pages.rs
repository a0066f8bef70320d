//! The pages for people. Everything is escaped, and no script is inline.

mod actions;
mod charts;
mod frame;
mod incidents;
mod postmortem;
mod problem;
mod rollback;
mod statistics;
mod status;

pub(crate) use actions::actions;
pub(crate) use frame::sign_in_frame;
pub(crate) use incidents::{incident, list};
pub(crate) use postmortem::postmortem;
pub(crate) use problem::{Here, Problem, problem};
pub(crate) use statistics::statistics;
pub(crate) use status::status;

pub(crate) const CSS: &str = include_str!("pages/assets/site.css");
pub(crate) const SCRIPT: &str = include_str!("pages/assets/site.js");
pub(crate) const ICON: &str = include_str!("pages/assets/icon.svg");
