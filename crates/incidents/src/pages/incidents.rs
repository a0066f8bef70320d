//! The operators' list of incidents and an incident's page.

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use uuid::Uuid;

use super::frame::{layout, nav, severity, span, state, time};
use super::{actions, rollback};
use crate::domain::{Role, Severity, Status, inert};
use crate::view::{CheckView, Incident, IncidentDetail};

pub(crate) fn list(open: &[Incident], over: &[Incident], now: DateTime<Utc>) -> Markup {
    let content = html! {
        h1 { "Incidents" }
        section aria-labelledby="open" {
            h2 #open { "Open " span.count { (open.len()) } }
            @if open.is_empty() { p.empty { "No open incidents." } } @else { (table(open, now)) }
        }
        section aria-labelledby="over" {
            h2 #over { "Resolved" }
            @if over.is_empty() { p.empty { "No resolved incidents yet." } } @else { (table(over, now)) }
        }
    };
    layout("Incidents", &nav("/console"), &content)
}

fn table(incidents: &[Incident], now: DateTime<Utc>) -> Markup {
    html! {
        ul.rows {
            @for incident in incidents {
                li {
                    (severity(incident.severity))
                    a.grow href={ "/console/incidents/" (incident.incident_id) } {
                        strong { (incident.title) }
                        span.quiet { (incident.number) " · " (incident.service) " · " (time(incident.opened_at)) }
                    }
                    (unverified(incident))
                    (state(incident.status))
                    (clock(incident, now))
                }
            }
        }
    }
}

fn unverified(incident: &Incident) -> Markup {
    html! { @if !incident.verified { span.pill { "unverified" } } }
}

/// Renders the next due time, or the duration of a resolved incident.
fn clock(incident: &Incident, now: DateTime<Utc>) -> Markup {
    let (what, due) = match (incident.resolved_at, incident.acknowledged_at) {
        (Some(at), _) => {
            return html! { span.clock { "took " (span(at - incident.opened_at)) } };
        }
        (None, None) => ("response", incident.response_due),
        (None, Some(_)) => ("resolution", incident.resolution_due),
    };
    let left = due - now;
    if left < chrono::TimeDelta::zero() {
        html! { span.clock.late { (what) " " (span(-left)) " late" } }
    } else {
        html! { span.clock { (what) " due in " (span(left)) } }
    }
}

pub(crate) fn incident(detail: &IncidentDetail, key: Uuid, now: DateTime<Utc>) -> Markup {
    let incident = &detail.incident;
    let content = html! {
        div.title {
            div.row {
                (severity(incident.severity))
                span.number { (incident.number) }
                (unverified(incident))
                (state(incident.status))
                (clock(incident, now))
            }
            h1 { (incident.title) }
            p.quiet {
                (detail.services.join(", ")) " · since " (time(incident.opened_at))
                " · classified by " (incident.rule)
            }
            @if !incident.verified {
                p.note {
                    "Prometheus does not have its alerts: anybody who reaches Alertmanager can have sent them. \
                    Nobody is woken, and the status page does not show the incident. If it is real, give it a severity."
                }
            }
            @if incident.classification_uncertain {
                p.note { "The alert has no clear severity. Please classify the incident." }
            }
            @if let Some(resolution) = &incident.resolution { p.resolution { (resolution) } }
            div.row.doing {
                @if incident.resolved_at.is_none() && incident.acknowledged_at.is_none() {
                    (form(incident, key, "acknowledge", &html! { button.primary { "Acknowledge" } }))
                }
                a.button href={ "/console/incidents/" (incident.incident_id) "/postmortem" } { "Postmortem" }
            }
        }
        // In the order in which they are needed, on a phone and by keyboard, too.
        div.columns {
            div.first {
                @if incident.resolved_at.is_none() { (advice(detail)) }
                (checks(detail, key))
            }
            div.side {
                @if incident.resolved_at.is_none() { (controls(incident, key)) }
                (rollback::section(detail, key))
                (roles(detail, key))
                (alerts(detail))
                (told(detail))
            }
            div.rest {
                section.panel aria-labelledby="timeline" {
                    h2 #timeline { "Timeline" }
                    (form(incident, key, "comment", &html! {
                        label { "Comment" textarea name="text" rows="2" maxlength="4000" required {} }
                        button { "Add comment" }
                    }))
                    (timeline(detail))
                }
                (actions::of_incident(detail, key, now.date_naive()))
            }
        }
    };
    layout(&incident.number, &nav("/console"), &content)
}

/// Renders a form of this page, with a key so that it is carried out once even when it is sent twice.
fn form(incident: &Incident, key: Uuid, what: &str, fields: &Markup) -> Markup {
    html! {
        form.stack method="post" action={ "/console/incidents/" (incident.incident_id) "/" (what) } {
            input type="hidden" name="key" value=(key);
            (fields)
        }
    }
}

fn timeline(detail: &IncidentDetail) -> Markup {
    html! {
        ol.timeline {
            @for event in detail.timeline.iter().rev() {
                @let kind = event.kind.as_str();
                li class={ "on-" (kind) } {
                    span.row { span.kind { (kind.replace('_', " ")) } span.quiet { (time(event.at)) } }
                    p { (event.text) }
                }
            }
        }
    }
}

fn advice(detail: &IncidentDetail) -> Markup {
    let runbook = detail.alerts.iter().find_map(|alert| alert.annotations["runbook_url"].as_str());
    html! {
        section.panel aria-labelledby="advice" {
            h2 #advice { "Advice" }
            ol.advice {
                @for advice in &detail.advice {
                    li {
                        strong { (advice.repair.words()) }
                        p.quiet { (advice.why) @if let Some(caution) = &advice.caution { " " (caution) } }
                    }
                }
            }
            // As text, not as a link: an alert's annotations are untrusted.
            @if let Some(runbook) = runbook { p.quiet { "Runbook " code { (runbook) } } }
        }
    }
}

fn told(detail: &IncidentDetail) -> Markup {
    html! {
        @if !detail.told.is_empty() {
            section.panel aria-labelledby="told" {
                h2 #told { "Notifications" }
                ul.list {
                    @for told in detail.told.iter().rev().take(40) {
                        li { (told.channel) span.quiet { " · " (told.kind) " · " (time(told.sent_at)) } }
                    }
                }
            }
        }
    }
}

fn controls(incident: &Incident, key: Uuid) -> Markup {
    let next = Status::ALL
        .into_iter()
        .filter(|status| *status != incident.status && *status != Status::PostmortemDone);
    let after = Status::ALL.into_iter().skip_while(|status| *status != incident.status).nth(1);
    html! {
        section.panel aria-labelledby="controls" {
            h2 #controls { "Respond" }
            (form(incident, key, "status", &html! {
                label { "Status" select name="status" {
                    @for status in next {
                        option value=(status.as_str()) selected[Some(status) == after] { (status.words()) }
                    }
                } }
                label { "Note" textarea name="note" rows="2" maxlength="4000" {} }
                button { "Change status" }
            }))
            details {
                summary { "Change severity" }
                (form(incident, key, "severity", &html! {
                    label { "Severity" select name="severity" {
                        @for severity in Severity::ALL {
                            option selected[severity == incident.severity] { (severity.as_str()) }
                        }
                    } }
                    label { "Reason" input name="reason" maxlength="100" required; }
                    button { "Classify" }
                }))
            }
            details {
                summary { "Add an affected service" }
                (form(incident, key, "service", &html! {
                    label { "Service" input name="service" maxlength="100" required; }
                    button { "Add service" }
                }))
            }
        }
    }
}

fn checks(detail: &IncidentDetail, key: Uuid) -> Markup {
    let done = detail.checklist.iter().filter(|check| check.done_at.is_some()).count();
    html! {
        section.panel aria-labelledby="checklist" {
            h2 #checklist { "Checklist " span.count { (done) " of " (detail.checklist.len()) } }
            @for (index, item) in detail.checklist.iter().enumerate() {
                @if index == 0 || detail.checklist[index - 1].phase != item.phase {
                    h3.phase { (item.phase) }
                }
                (check(&detail.incident, item, key))
            }
        }
    }
}

fn check(incident: &Incident, item: &CheckView, key: Uuid) -> Markup {
    let done = item.done_at.is_some();
    html! {
        form.check method="post" action={ "/console/incidents/" (incident.incident_id) "/check" } {
            input type="hidden" name="key" value=(key);
            input type="hidden" name="item" value=(item.item);
            input type="hidden" name="done" value=(!done);
            button.tick aria-pressed=(done) {
                span.box aria-hidden="true" { @if done { "✓" } }
                span { (item.text) }
            }
        }
    }
}

fn roles(detail: &IncidentDetail, key: Uuid) -> Markup {
    html! {
        section.panel aria-labelledby="roles" {
            h2 #roles { "Roles" }
            dl.facts {
                @for role in Role::ALL {
                    dt { (role.words()) }
                    dd {
                        @match detail.roles.iter().find(|holder| holder.role == role.as_str()) {
                            Some(holder) => (holder.holder),
                            None => span.quiet { "not assigned" },
                        }
                    }
                }
            }
            details {
                summary { "Assign a role" }
                (form(&detail.incident, key, "role", &html! {
                    label { "Role" select name="role" {
                        @for role in Role::ALL { option value=(role.as_str()) { (role.words()) } }
                    } }
                    label { "Who" input name="holder" maxlength="100" required; }
                    button { "Assign" }
                }))
            }
        }
    }
}

fn alerts(detail: &IncidentDetail) -> Markup {
    html! {
        section.panel aria-labelledby="alerts" {
            h2 #alerts { "Alerts " span.count { (detail.alerts.len()) } }
            @for alert in detail.alerts.iter().take(50) {
                details.alert {
                    summary {
                        (inert(alert.labels["alertname"].as_str().unwrap_or("unnamed"), 200))
                        span.quiet { @if alert.ends_at.is_some() { " ended" } @else { " firing" } }
                    }
                    dl.facts {
                        @for texts in [&alert.labels, &alert.annotations] {
                            @for (name, value) in texts.as_object().into_iter().flatten() {
                                dt { (inert(name, 200)) }
                                dd { (inert(value.as_str().unwrap_or_default(), 2_000)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
