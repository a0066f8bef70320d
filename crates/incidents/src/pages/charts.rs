//! Charts as SVG, made here: no script, no style attribute. Each says in words what it shows.

use chrono::NaiveDate;
use maud::{Markup, html};

use crate::domain::{Count, Severity, Week};

const WIDTH: usize = 640;
const HEIGHT: usize = 180;
/// Room below for dates, and at the left for numbers.
const FOOT: usize = 22;
const LEFT: usize = 34;

/// How many incidents each week, by severity, stacked with the worst at the bottom.
pub(super) fn frequency(weeks: &[Week]) -> Markup {
    let most = weeks.iter().map(|w| w.by_severity.iter().sum()).max().unwrap_or(0).max(4);
    let total: usize = weeks.iter().flat_map(|w| w.by_severity).sum();
    let label = format!("{total} incidents in {} weeks, by severity", weeks.len());
    let up = |count: usize| count * (HEIGHT - FOOT - 10) / most;
    let bars = weeks.iter().enumerate().flat_map(|(index, week)| {
        let (x, width) = slot(index, weeks.len());
        let mut top = HEIGHT - FOOT;
        week.by_severity
            .into_iter()
            .enumerate()
            .filter(|(_, count)| *count > 0)
            .map(move |(severity, count)| {
                top -= up(count);
                (x, width, top, up(count), severity)
            })
            .collect::<Vec<_>>()
    });
    frame(
        &label,
        &axis(&[0, most / 2, most].map(|n| (n.to_string(), HEIGHT - FOOT - up(n)))),
        &html! {
            @for (x, width, y, height, severity) in bars {
                rect.{ "s" (severity) } x=(x) y=(y) width=(width) height=(height) {}
            }
            (dates(weeks))
        },
    )
}

/// The mean time to resolve of each week that had any.
pub(super) fn resolution(weeks: &[Week]) -> Markup {
    let longest = weeks.iter().filter_map(|w| w.mttr_seconds).fold(3600.0, f64::max);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "pixels of a small picture"
    )]
    let up = |seconds: f64| (seconds / longest * (HEIGHT - FOOT - 10) as f64) as usize;
    let points: Vec<_> = weeks
        .iter()
        .enumerate()
        .filter_map(|(index, week)| {
            let (x, width) = slot(index, weeks.len());
            week.mttr_seconds.map(|s| (x + width / 2, HEIGHT - FOOT - up(s), s))
        })
        .collect();
    let line = points.iter().map(|(x, y, _)| format!("{x},{y}")).collect::<Vec<_>>().join(" ");
    let marks =
        [0.0, longest / 2.0, longest].map(|s| (super::long(Some(s)), HEIGHT - FOOT - up(s)));
    frame(
        "Mean time to resolve, week by week",
        &axis(&marks),
        &html! {
            polyline.line points=(line) {}
            @for (x, y, seconds) in &points {
                circle.dot cx=(x) cy=(y) r="4" { title { (super::long(Some(*seconds))) } }
            }
            (dates(weeks))
        },
    )
}

/// Counts as horizontal bars, each with its number.
pub(super) fn ranking(label: &str, counts: &[Count], class: impl Fn(usize) -> String) -> Markup {
    let most = counts.iter().map(|c| c.count).max().unwrap_or(0).max(1);
    html! {
        table.ranking {
            caption.unseen { (label) }
            @for (index, Count { name, count }) in counts.iter().enumerate() {
                tr {
                    th scope="row" { (name) }
                    td {
                        svg viewBox="0 0 200 14" preserveAspectRatio="none" aria-hidden="true" {
                            rect.(class(index)) width=(count * 200 / most) height="14" rx="3" {}
                        }
                    }
                    td.number { (count) }
                }
            }
        }
    }
}

pub(super) fn by_severity(counts: [usize; 4]) -> Markup {
    let count =
        |(severity, count): (Severity, usize)| Count { name: severity.as_str().to_owned(), count };
    let counts: Vec<_> = Severity::ALL.into_iter().zip(counts).map(count).collect();
    ranking("Incidents by severity", &counts, |index| format!("s{index}"))
}

pub(super) fn legend() -> Markup {
    html! {
        ul.keys {
            @for (index, severity) in Severity::ALL.into_iter().enumerate() {
                li { svg viewBox="0 0 10 10" aria-hidden="true" { rect.{ "s" (index) } width="10" height="10" rx="2" {} } (severity.as_str()) }
            }
        }
    }
}

/// Where the n-th of so many weeks stands, and how wide it is.
fn slot(index: usize, of: usize) -> (usize, usize) {
    let width = (WIDTH - LEFT) / of.max(1);
    (LEFT + index * width + width / 8, width * 3 / 4)
}

fn axis(marks: &[(String, usize)]) -> Markup {
    html! {
        @for (text, y) in marks {
            line.grid x1=(LEFT) x2=(WIDTH) y1=(y) y2=(y) {}
            text.mark x=(LEFT - 6) y=(y + 4) text-anchor="end" { (text) }
        }
    }
}

fn dates(weeks: &[Week]) -> Markup {
    let every = weeks.len().div_ceil(5).max(1);
    let day = |day: NaiveDate| day.format("%-d %b").to_string();
    html! {
        @for (index, week) in weeks.iter().enumerate().step_by(every) {
            text.mark x=(slot(index, weeks.len()).0) y=(HEIGHT - 4) { (day(week.from)) }
        }
    }
}

fn frame(label: &str, axis: &Markup, content: &Markup) -> Markup {
    html! {
        svg.chart viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(label) {
            (axis) (content)
        }
    }
}
