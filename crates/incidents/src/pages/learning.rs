//! Statistics, actions and postmortems.

use chrono::{NaiveDate, TimeDelta};
use maud::{Markup, html};
use uuid::Uuid;

use super::console::nav;
use super::{charts, layout, severity, time};
use crate::app::{ActionItem, IncidentDetail, Postmortem, Priority};
use crate::domain::{Statistics, Status};

pub(crate) fn statistics(found: &Statistics) -> Markup {
    let tile = |name: &str, value: String, what: &str| {
        html! { div.tile { dt { (name) } dd { strong { (value) } span.quiet { (what) } } } }
    };
    let content = html! {
        h1 { "Statistics" }
        p.quiet { "Incidents that opened in the last 90 days, without those merged into others." }
        dl.tiles {
            (tile("Incidents", found.incidents.to_string(), "in 90 days"))
            (tile("MTTD", super::long(found.mttd_seconds), "mean time to detect"))
            (tile("MTTA", super::long(found.mtta_seconds), "mean time to acknowledge"))
            (tile("MTTR", super::long(found.mttr_seconds), "mean time to resolve"))
            (tile("Late", found.late.to_string(), "missed a target"))
        }
        section.panel aria-labelledby="frequency" {
            h2 #frequency { "Frequency" }
            p.quiet { "Incidents opened in each week, by severity" }
            (charts::legend()) (charts::frequency(&found.weeks))
        }
        section.panel aria-labelledby="resolution" {
            h2 #resolution { "Duration" }
            p.quiet { "Mean time from start to end, of the incidents opened in each week" }
            (charts::resolution(&found.weeks))
        }
        div.columns.even {
            section.panel aria-labelledby="by-severity" {
                h2 #by-severity { "By severity" } (charts::by_severity(found.by_severity))
            }
            section.panel aria-labelledby="by-service" {
                h2 #by-service { "By service" }
                @if found.by_service.is_empty() { p.quiet { "None." } }
                (charts::ranking("Incidents by service", &found.by_service, |_| "plain".to_owned()))
            }
        }
        section.panel aria-labelledby="repeats" {
            h2 #repeats { "Recurring causes" }
            @if found.repeats.is_empty() { p.quiet { "None." } }
            (charts::ranking("Causes of more than one incident", &found.repeats, |_| "s0".to_owned()))
        }
    };
    layout("Statistics", &nav("/console/statistics"), &content)
}

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

pub(crate) fn postmortem(detail: &IncidentDetail, text: &Postmortem, key: Uuid) -> Markup {
    let incident = &detail.incident;
    let page = format!("/console/incidents/{}", incident.incident_id);
    let closable = incident.status == Status::Resolved.as_str();
    let content = html! {
        div.title {
            div.row {
                (severity(&incident.severity)) a.number href=(page) { (incident.number) }
                (super::state(&incident.status))
            }
            h1 { "Postmortem" }
            p.quiet {
                @match text.edited_at {
                    Some(at) => { "Version " (text.version) ", edited " (time(at)) },
                    None => "Made from the record. Edit it to add the answers.",
                }
            }
        }
        form.stack.editor method="post" action={ (page) "/postmortem" } {
            input type="hidden" name="key" value=(key);
            input type="hidden" name="version" value=(text.version);
            label { "Markdown" textarea name="body" rows="32" maxlength="40000" spellcheck="true" required { "\n" (text.body) } }
            div.row {
                button.primary name="done" value="false" { "Save" }
                @if closable { button name="done" value="true" { "Save and close the incident" } }
                a.button href={ (page) "/postmortem.md" } download { "Download" }
            }
        }
    };
    layout("Postmortem", &nav("/console"), &content)
}
