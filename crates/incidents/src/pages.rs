//! The pages for people. Everything is escaped, and no script is inline.

mod charts;
mod console;
mod learning;
mod problem;
mod rollback;

pub(crate) use console::{Ask, incident, list, login};
pub(crate) use learning::{actions, postmortem, statistics};
pub(crate) use problem::{Here, Problem, problem};

use chrono::{DateTime, TimeDelta, Utc};
use maud::{DOCTYPE, Markup, html};

use crate::app::{Overview, PublicIncident, ServiceHealth};
use crate::domain::{DAYS, Health};

pub(crate) const CSS: &str = include_str!("pages/assets/site.css");
pub(crate) const SCRIPT: &str = include_str!("pages/assets/site.js");
pub(crate) const ICON: &str = include_str!("pages/assets/icon.svg");

/// The status page.
pub(crate) fn status(overview: &Overview) -> Markup {
    let state = overview.overall;
    let content = html! {
        section.overall.(class(state)) {
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
            div.panel { @for service in &overview.services { (bars(service, overview.now)) } }
        }
        section aria-labelledby="recent" {
            h2 #recent { "Recently resolved" }
            @if overview.recent.is_empty() { p.empty { "No resolved incidents yet." } } @else {
                ol.rows { @for incident in &overview.recent { (resolved(incident)) } }
            }
        }
    };
    layout(state.as_str(), &html! { a href="/console" { "Operators" } }, &content)
}

fn resolved(incident: &PublicIncident) -> Markup {
    html! {
        li {
            (severity(&incident.severity))
            span.grow {
                strong { (incident.title()) }
                span.quiet { (incident.number) " · " (time(incident.opened_at)) }
            }
            @if let Some(at) = incident.resolved_at {
                span.clock { "took " (span(at - incident.opened_at)) }
            }
        }
    }
}

/// Renders a page that keeps itself up to date.
fn layout(title: &str, nav: &Markup, content: &Markup) -> Markup {
    let script = html! { script src="/assets/site.js" defer {} };
    frame(title, &script, nav, content, "All times in UTC. This page keeps itself up to date.")
}

/// Renders a page that does not update itself.
fn still(title: &str, nav: &Markup, content: &Markup) -> Markup {
    frame(title, &html! {}, nav, content, "")
}

fn frame(title: &str, script: &Markup, nav: &Markup, content: &Markup, foot: &str) -> Markup {
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
                (script)
            }
            body {
                a.skip href="#content" { "Skip to content" }
                header {
                    a.brand href="/" { span.mark aria-hidden="true" {} "Incidents" }
                    @if !nav.0.is_empty() { nav aria-label="Pages" { (nav) } }
                }
                p.error.notice #notice role="status" {}
                p.unseen #spoken role="status" {}
                main #content tabindex="-1" { (content) }
                footer { (foot) }
            }
        }
    }
}

fn card(incident: &PublicIncident, now: DateTime<Utc>) -> Markup {
    html! {
        article.card {
            div.row {
                (severity(&incident.severity))
                span.number { (incident.number) }
                (state(&incident.status))
            }
            h3 { (incident.title()) }
            p.quiet {
                "since " (time(incident.opened_at)) " · "
                span.keep { "for " (span(now - incident.opened_at)) }
            }
        }
    }
}

fn bars(service: &ServiceHealth, now: DateTime<Utc>) -> Markup {
    let known = || service.days.iter().flatten();
    let days = match known().filter(|day| **day != Health::Operational).count() {
        0 => "no incidents recorded".to_owned(),
        1 => "incidents on 1 day".to_owned(),
        days => format!("incidents on {days} days"),
    };
    let unknown = match DAYS - known().count() {
        0 => String::new(),
        1 => ", 1 day unknown".to_owned(),
        days => format!(", {days} days unknown"),
    };
    let share = match service.availability {
        Some(share) => format!("{} available", percent(share)),
        None => "watched for less than a day".to_owned(),
    };
    let summary = format!("{share}, {days}{unknown}");
    let date = |index: usize| {
        let ago = TimeDelta::days(i64::try_from(DAYS - 1 - index).unwrap_or(0));
        (now - ago).format("%-d %b")
    };
    html! {
        div.service {
            div.row {
                h3 { (service.name) }
                span.pill.(class(service.now)) { (service.now.as_str()) }
            }
            svg.bars viewBox="0 0 540 34" preserveAspectRatio="none" role="img" aria-label={ (summary) " in " (DAYS) " days" } {
                @for (index, day) in service.days.iter().enumerate() {
                    rect.(day.map_or("unknown", class)) x=(index * 6) y="0" width="4" height="34" rx="1.5" {
                        title { (date(index)) ": " (day.map_or("unknown", Health::as_str)) }
                    }
                }
            }
            div.legend { span { "90 days ago" } span { (summary) } span { "today" } }
        }
    }
}

/// Formats a share, rounded down: an outage of a second is not 100 %.
fn percent(share: f64) -> String {
    let hundredths = (share * 10_000.0).floor();
    if hundredths >= 10_000.0 { "100 %".to_owned() } else { format!("{:.2} %", hundredths / 100.0) }
}

fn sentence(health: Health) -> &'static str {
    match health {
        Health::Operational => "All services work.",
        Health::Degraded => "Some requests are slow or fail. We are working on it.",
        Health::Critical => "An important service does not work. We are working on it.",
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

/// Renders an incident's status in its color.
fn state(status: &str) -> Markup {
    let class = match status {
        "investigating" => "bad",
        "identified" | "monitoring" => "warn",
        _ => "good",
    };
    html! { span.pill.(class) { (words(status)) } }
}

/// Formats a name for people.
fn words(status: &str) -> String {
    status.replace('_', " ")
}

fn time(at: DateTime<Utc>) -> Markup {
    html! { time datetime=(at.to_rfc3339()) { (at.format("%-d %b %Y, %H:%M")) } }
}

/// Formats seconds for people; a dash when there are none.
#[expect(clippy::cast_possible_truncation, reason = "whole seconds are meant")]
fn long(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 60.0 => format!("{} s", seconds as i64),
        Some(seconds) => span(TimeDelta::seconds(seconds as i64)),
    }
}

/// Formats a duration for people, in its two largest units.
fn span(span: TimeDelta) -> String {
    let minutes = span.num_minutes().max(0);
    let (days, hours) = (minutes / 1440, minutes / 60 % 24);
    match (days, hours) {
        (0, 0) if minutes == 0 => "less than a minute".to_owned(),
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {} min", minutes % 60),
        (_, _) => format!("{days} d {hours} h"),
    }
}
