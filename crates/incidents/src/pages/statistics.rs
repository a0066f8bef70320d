//! The statistics.

use maud::{Markup, html};

use super::charts;
use super::frame::{layout, long, nav};
use crate::domain::Statistics;

pub(crate) fn statistics(found: &Statistics) -> Markup {
    let tile = |name: &str, value: String, what: &str| {
        html! { div.tile { dt { (name) } dd { strong { (value) } span.quiet { (what) } } } }
    };
    let content = html! {
        h1 { "Statistics" }
        p.quiet { "Incidents that opened in the last 90 days, without those merged into others." }
        dl.tiles {
            (tile("Incidents", found.incidents.to_string(), "in 90 days"))
            (tile("MTTD", long(found.mttd_seconds), "mean time to detect"))
            (tile("MTTA", long(found.mtta_seconds), "mean time to acknowledge"))
            (tile("MTTR", long(found.mttr_seconds), "mean time to resolve"))
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
