//! The console's forms as commands.

use kit::{ApiError, Kind};
use webconsole::{Form, not_a_choice};

use super::actions::{long_text, short_text};
use super::follow_up;
use crate::app::Action;
use crate::domain::{NewAction, Priority, Role, Severity, Status};

/// Returns the page that the form names to go back to, if it is a known one.
pub(super) fn back<'a>(form: &Form, otherwise: &'a str) -> &'a str {
    if form.get("back") == "/console/actions" { "/console/actions" } else { otherwise }
}

pub(super) fn new_action(form: &Form) -> Result<NewAction, ApiError> {
    let priority = Priority::ALL.into_iter().find(|p| p.as_str() == form.get("priority"));
    let priority = priority.ok_or_else(|| not_a_choice("priority"))?;
    let due = form.get("due").parse().map_err(|_| not_a_choice("due"))?;
    follow_up::new_action(form.get("text"), priority, form.get("assignee"), due)
}

/// Parses the form named `what` into an action.
pub(super) fn action(form: &Form, what: &str) -> Result<Action, ApiError> {
    match what {
        "acknowledge" => Ok(Action::Acknowledge),
        "status" => {
            let note = Some(form.get("note")).filter(|note| !note.trim().is_empty());
            let note = note.map(|note| long_text("note", note)).transpose()?;
            let to: Status = form.get("status").parse().map_err(|_| not_a_choice("status"))?;
            Ok(Action::Move { to, note })
        }
        "severity" => {
            let severity = form.get("severity").parse();
            let severity: Severity = severity.map_err(|_| not_a_choice("severity"))?;
            Ok(Action::Classify { severity, reason: short_text("reason", form.get("reason"))? })
        }
        "comment" => Ok(Action::Comment(long_text("text", form.get("text"))?)),
        "role" => {
            let role = Role::ALL.into_iter().find(|role| role.as_str() == form.get("role"));
            let role = role.ok_or_else(|| not_a_choice("role"))?;
            Ok(Action::Assign { role, holder: short_text("holder", form.get("holder"))? })
        }
        "service" => Ok(Action::Affect(short_text("service", form.get("service"))?)),
        "check" => {
            let item = form.get("item").to_owned();
            Ok(Action::Tick { item, done: form.get("done") == "true" })
        }
        _ => Err(ApiError::new(Kind::NotFound, "not_found", "form not found")),
    }
}
