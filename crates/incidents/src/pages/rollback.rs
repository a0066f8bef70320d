//! The rollbacks of an incident's page.

use maud::{Markup, html};
use uuid::Uuid;

use super::frame::time;
use crate::domain::{RunStatus, duration};
use crate::view::{IncidentDetail, RollbackView};

pub(super) fn section(detail: &IncidentDetail, key: Uuid) -> Markup {
    let incident = &detail.incident;
    let offered = incident.resolved_at.is_none() && !detail.can_roll_back.is_empty();
    html! {
        @if offered || !detail.rollbacks.is_empty() {
            section.panel aria-labelledby="rollback" {
                h2 #rollback { "Rollback" }
                @for run in detail.rollbacks.iter().rev() { (shown(run)) }
                @if offered {
                    details {
                        summary { "Roll back to the previous version" }
                        p.quiet {
                        "The previous version starts beside the live one, which stops only when the previous one is ready. "
                        "Check that the previous version runs on the current migrations."
                        }
                        @for service in &detail.can_roll_back {
                            form.stack method="post" action={ "/console/incidents/" (incident.incident_id) "/rollback" } {
                                input type="hidden" name="key" value={ (key) "-" (service) };
                                input type="hidden" name="service" value=(service);
                                button.danger { "Approve: roll back " (service) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn shown(run: &RollbackView) -> Markup {
    html! {
        div.run {
            div.row {
                strong { (run.service) }
                span.pill.(class(run.status)) { (run.status.as_str()) }
                span.quiet { (run.executor) " · " (time(run.started_at)) }
            }
            @if let Some(target) = &run.target { p.quiet { "Back to " code { (target) } } }
            ol.steps {
                @for step in &run.steps {
                    li.(match step.ok { Some(true) => "good", Some(false) => "bad", None => "now" }) {
                        span { (step.step) @if step.attempt > 1 { span.quiet { " · attempt " (step.attempt) } } }
                        span.quiet {
                            @match step.ended_at {
                                Some(at) => (duration(at - step.started_at)),
                                None => "running",
                            }
                        }
                        @if step.ok == Some(false) { p.quiet { (step.detail) } }
                    }
                }
            }
        }
    }
}

fn class(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Succeeded => "good",
        RunStatus::Running => "warn",
        RunStatus::Failed | RunStatus::Interrupted => "bad",
    }
}
