//! The frame of every page, and parts that several pages share.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{DOCTYPE, Markup, html};

use crate::domain::{Severity, Status};

/// Renders a page that keeps itself up to date.
pub(super) fn layout(title: &str, nav: &Markup, content: &Markup) -> Markup {
    let script = html! { script src="/assets/site.js" defer {} };
    frame(title, &script, nav, content, "All times in UTC. This page keeps itself up to date.")
}

/// Renders a page that does not update itself.
pub(super) fn static_page(title: &str, nav: &Markup, content: &Markup) -> Markup {
    frame(title, &html! {}, nav, content, "")
}

/// Renders the page to sign in at.
pub(crate) fn sign_in_frame(title: &str, content: &Markup) -> Markup {
    static_page(title, &html! { a href="/" { "Status" } }, content)
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

pub(super) fn severity(severity: Severity) -> Markup {
    let name = severity.as_str();
    html! { span.severity.(name.to_ascii_lowercase()) title={ "Severity " (name) } { (name) } }
}

/// Renders an incident's status in its color.
pub(super) fn state(status: Status) -> Markup {
    let class = match status {
        Status::Investigating => "bad",
        Status::Identified | Status::Monitoring => "warn",
        Status::Resolved | Status::PostmortemDone => "good",
    };
    html! { span.pill.(class) { (status.words()) } }
}

pub(super) fn time(at: DateTime<Utc>) -> Markup {
    html! { time datetime=(at.to_rfc3339()) { (at.format("%-d %b %Y, %H:%M")) } }
}

/// Formats seconds for people; a dash when there are none.
#[expect(clippy::cast_possible_truncation, reason = "whole seconds are meant")]
pub(super) fn long(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 60.0 => format!("{} s", seconds as i64),
        Some(seconds) => span(TimeDelta::seconds(seconds as i64)),
    }
}

/// Formats a duration for people, in its two largest units.
pub(super) fn span(span: TimeDelta) -> String {
    let minutes = span.num_minutes().max(0);
    let (days, hours) = (minutes / 1440, minutes / 60 % 24);
    match (days, hours) {
        (0, 0) if minutes == 0 => "less than a minute".to_owned(),
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {} min", minutes % 60),
        (_, _) => format!("{days} d {hours} h"),
    }
}

/// Renders the links to the console's pages; `here` is the current one, or the one it belongs to.
pub(super) fn nav(here: &str) -> Markup {
    html! {
        @for (page, name) in [
            ("/", "Status"),
            ("/console", "Incidents"),
            ("/console/actions", "Actions"),
            ("/console/statistics", "Statistics"),
        ] {
            a href=(page) aria-current=[(page == here).then_some("page")] { (name) }
        }
        form method="post" action="/console/logout" { button.plain { "Sign out" } }
    }
}
