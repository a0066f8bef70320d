//! The list of actions.

use chrono::{NaiveDate, TimeDelta};
use maud::{Markup, html};
use uuid::Uuid;

use super::frame::{layout, nav, time};
use crate::domain::Priority;
use crate::view::{ActionItem, IncidentDetail};

pub(crate) fn actions(all: &[ActionItem], key: Uuid, today: NaiveDate) -> Markup {
    let (open, done): (Vec<_>, Vec<_>) = all.iter().partition(|action| action.done_at.is_none());
    let content = html! {
        h1 { "Actions" }
        section aria-labelledby="open" {
            h2 #open { "Open " span.count { (open.len()) } }
            @if open.is_empty() { p.empty { "No open actions." } }
            @else { ul.rows { @for a in open { (item(a, key, today, "/console/actions")) } } }
        }
        @if !done.is_empty() {
            section aria-labelledby="done" {
                h2 #done { "Done" }
                ul.rows { @for a in done { (item(a, key, today, "/console/actions")) } }
            }
        }
    };
    layout("Actions", &nav("/console/actions"), &content)
}

fn item(action: &ActionItem, key: Uuid, today: NaiveDate, back: &str) -> Markup {
    let late = action.done_at.is_none() && action.due < today;
    html! {
        li {
            span.severity.{ "is-" (action.priority) } { (action.priority) }
            a.grow href={ "/console/incidents/" (action.incident_id) } {
                strong { (action.text) }
                span.quiet { (action.assignee) " · " (action.number) }
            }
            span.clock.late[late] {
                @if let Some(at) = action.done_at { "done " (time(at)) }
                @else { @if late { "overdue since " } @else { "due " } (action.due.format("%-d %b %Y")) }
            }
            @if action.done_at.is_none() {
                form method="post" action={ "/console/incidents/" (action.incident_id) "/finish" } {
                    input type="hidden" name="key" value={ (key) "-" (action.action_id) };
                    input type="hidden" name="action" value=(action.action_id);
                    input type="hidden" name="back" value=(back);
                    button aria-label={ "Done: " (action.text) } { "Done" }
                }
            }
        }
    }
}

/// Renders the actions of one incident, with a form to add one.
pub(super) fn of_incident(detail: &IncidentDetail, key: Uuid, today: NaiveDate) -> Markup {
    let due = today + TimeDelta::days(14);
    let id = detail.incident.incident_id;
    html! {
        section.panel aria-labelledby="actions" {
            h2 #actions { "Actions " span.count { (detail.actions.len()) } }
            @if !detail.actions.is_empty() {
                ul.rows { @for a in &detail.actions { (item(a, key, today, "")) } }
            }
            details {
                summary { "Add an action" }
                form.stack method="post" action={ "/console/incidents/" (id) "/action" } {
                    input type="hidden" name="key" value=(key);
                    label { "Action that prevents a recurrence" input name="text" maxlength="100" required; }
                    label { "Assignee" input name="assignee" maxlength="100" required; }
                    label { "Due" input type="date" name="due" value=(due) required; }
                    label { "Priority" select name="priority" {
                        @for priority in Priority::ALL { option { (priority.as_str()) } }
                    } }
                    button { "Add action" }
                }
            }
        }
    }
}
