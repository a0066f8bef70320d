//! What people see. Rendered here, escaped by itself, with no script inline.

mod charts;
mod console;
mod learning;
mod rollback;

pub(crate) use console::{incident, list, login};
pub(crate) use learning::{actions, postmortem, statistics};

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, html};

use crate::app::{Incident, Overview, ServiceHealth};
use crate::domain::{DAYS, Health};

pub(crate) const CSS: &str = include_str!("pages/assets/site.css");
pub(crate) const SCRIPT: &str = include_str!("pages/assets/site.js");
pub(crate) const ICON: &str = include_str!("pages/assets/icon.svg");

/// The status page.
pub(crate) fn status(overview: &Overview) -> Markup {
    let state = overview.overall;
    let content = html! {
        section.overall.(class(state)) role="status" aria-live="polite" {
            span.pulse aria-hidden="true" {}
            div {
                h1 { (state.as_str()) }
                p { (sentence(state)) }
            }
        }
        @if !overview.active.is_empty() {
            section aria-labelledby="active" {
                h2 #active { "Active incidents" }
                @for incident in &overview.active { (card(incident, overview.now)) }
            }
        }
        section aria-labelledby="services" {
            h2 #services { "Services" }
            div.panel { @for service in &overview.services { (bars(service)) } }
        }
        section aria-labelledby="recent" {
            h2 #recent { "Recently resolved" }
            @if overview.recent.is_empty() { p.quiet { "Nothing yet." } }
            ol.recent {
                @for incident in &overview.recent {
                    li {
                        span.number { (incident.number) }
                        span.grow { (incident.title) }
                        (severity(&incident.severity))
                        span.quiet { (incident.service) " · " (time(incident.opened_at)) }
                    }
                }
            }
        }
    };
    layout("Status", &html! { a href="/console" { "Operators" } }, &content)
}

/// An error, for people.
pub(crate) fn problem(title: &str, detail: &str, request: &str) -> Markup {
    let content = html! {
        section.problem {
            h1 { (title) }
            p.error role="alert" { (detail) "." }
            p.quiet {
                "Go back with your browser: what you wrote is still there. "
                a href="/console" { "Or to the incidents." }
            }
            @if !request.is_empty() { p.quiet { "Request " code { (request) } } }
        }
    };
    layout(title, &html! { a href="/" { "Status" } a href="/console" { "Incidents" } }, &content)
}

fn layout(title: &str, nav: &Markup, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Incidents" }
                link rel="stylesheet" href="/assets/site.css";
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                script src="/assets/site.js" defer {}
            }
            body {
                a.skip href="#content" { "Skip to content" }
                header {
                    a.brand href="/" { span.mark aria-hidden="true" {} "Incidents" }
                    nav aria-label="Pages" { (nav) }
                }
                main #content tabindex="-1" { (content) }
                footer { "All times in UTC. This page keeps itself up to date." }
            }
        }
    }
}

fn card(incident: &Incident, now: DateTime<Utc>) -> Markup {
    html! {
        article.card {
            div.row {
                (severity(&incident.severity))
                span.number { (incident.number) }
                span.state { (words(&incident.status)) }
            }
            h3 { (incident.title) }
            p.quiet {
                (incident.service) " · since " (time(incident.opened_at)) " · "
                (span(now - incident.opened_at))
            }
        }
    }
}

fn bars(service: &ServiceHealth) -> Markup {
    let good = service.days.iter().filter(|day| **day == Health::Operational).count();
    let summary = format!("{good} of the last {DAYS} days without a disturbance");
    html! {
        div.service {
            div.row {
                h3 { (service.name) }
                span.pill.(class(service.now)) { (service.now.as_str()) }
            }
            svg.bars viewBox="0 0 540 34" preserveAspectRatio="none" role="img" aria-label=(summary) {
                @for (index, day) in service.days.iter().enumerate() {
                    rect.(class(*day)) x=(index * 6) y="0" width="4" height="34" rx="1.5" {}
                }
            }
            div.row.legend { span { "90 days ago" } span { (summary) } span { "today" } }
        }
    }
}

fn sentence(health: Health) -> &'static str {
    match health {
        Health::Operational => "Everything works as it should.",
        Health::Degraded => "Some things are slower or fail. We are on it.",
        Health::Critical => "Something important does not work. We are on it.",
    }
}

fn class(health: Health) -> &'static str {
    match health {
        Health::Operational => "good",
        Health::Degraded => "warn",
        Health::Critical => "bad",
    }
}

fn severity(name: &str) -> Markup {
    html! { span.severity.(name.to_ascii_lowercase()) title={ "Severity " (name) } { (name) } }
}

/// A status for people.
fn words(status: &str) -> String {
    status.replace('_', " ")
}

fn time(at: DateTime<Utc>) -> Markup {
    html! { time datetime=(at.to_rfc3339()) { (at.format("%-d %b %Y, %H:%M")) } }
}

/// Seconds for people; a dash when there is nothing to say.
#[expect(clippy::cast_possible_truncation, reason = "whole seconds are meant")]
fn long(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 60.0 => format!("{} s", seconds as i64),
        Some(seconds) => span(chrono::TimeDelta::seconds(seconds as i64)),
    }
}

/// A duration for people: its two largest units.
fn span(span: chrono::TimeDelta) -> String {
    let minutes = span.num_minutes().max(0);
    let (days, hours) = (minutes / 1440, minutes / 60 % 24);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {} min", minutes % 60),
        (_, _) => format!("{days} d {hours} h"),
    }
}
