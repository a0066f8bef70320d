//! The data that is read and answered.

mod action;
mod detail;
mod incident;
mod overview;
mod postmortem;
mod rollback;

pub use action::{ActionItem, Actions};
pub use detail::{
    AlertView, CheckView, Event, Holder, IncidentDetail, Linked, SeverityChange, Told,
};
pub use incident::{Filter, Incident, Page, Received, Stage};
pub use overview::{Overview, PublicIncident, ServiceHealth};
pub use postmortem::Postmortem;
pub use rollback::{RollbackView, StepView};
