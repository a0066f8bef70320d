//! The public status page.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::frame::{layout, severity, span, state, time};
use crate::domain::{DAYS, Health};
use crate::view::{Overview, PublicIncident, ServiceHealth};

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
            (severity(incident.severity))
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

fn card(incident: &PublicIncident, now: DateTime<Utc>) -> Markup {
    html! {
        article.card {
            div.row {
                (severity(incident.severity))
                span.number { (incident.number) }
                (state(incident.status))
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
