//! Charts as SVG, without scripts and style attributes. Each has a description in words.

use chrono::NaiveDate;
use maud::{Markup, html};

use super::frame::long;
use crate::domain::{Count, Severity, Week};

/// A chart's size. Each chart has two: a wide one is unreadable on a phone.
#[derive(Clone, Copy)]
struct Size {
    name: &'static str,
    width: usize,
    height: usize,
    /// The number of dates that have room below.
    dates: usize,
}

const SIZES: [Size; 2] = [
    Size { name: "wide", width: 960, height: 240, dates: 7 },
    Size { name: "narrow", width: 340, height: 200, dates: 4 },
];
/// The room above, below for dates, and at the left for numbers.
const HEAD: usize = 8;
const FOOT: usize = 26;
const LEFT: usize = 64;

impl Size {
    /// Returns the height of zero.
    fn ground(self) -> usize {
        self.height - FOOT
    }

    /// Returns the height of a share above the ground.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "pixels of a small picture"
    )]
    fn up(self, share: f64) -> usize {
        (share * (self.ground() - HEAD) as f64).round() as usize
    }

    /// Returns the position and the width of a week.
    fn slot(self, index: usize, of: usize) -> (usize, usize) {
        let width = (self.width - LEFT) / of.max(1);
        (LEFT + index * width + width / 8, width * 3 / 4)
    }
}

/// Renders the number of incidents in each week, by severity, stacked with the worst at the bottom.
pub(super) fn frequency(weeks: &[Week]) -> Markup {
    let most = weeks.iter().map(|w| w.by_severity.iter().sum()).max().unwrap_or(0).max(4);
    let most = most.next_multiple_of(2);
    let total: usize = weeks.iter().flat_map(|w| w.by_severity).sum();
    let label = format!("{total} incidents in {} weeks, by severity", weeks.len());
    let marks = [0, most / 2, most].map(|n| (n.to_string(), share(n, most)));
    frames(&label, &marks, weeks, |size| {
        html! {
            @for (index, week) in weeks.iter().enumerate() {
                @for (severity, from, to) in stacked(week.by_severity) {
                    @let (x, width) = size.slot(index, weeks.len());
                    @let (low, high) = (size.up(share(from, most)), size.up(share(to, most)));
                    rect.{ "s" (severity) } x=(x) y=(size.ground() - high) width=(width) height=(high - low) {
                        title { (to - from) " × P" (severity) ", week of " (day(week.from)) }
                    }
                }
            }
        }
    })
}

/// Returns the bottom and the top of each severity's part.
fn stacked(counts: [usize; 4]) -> Vec<(usize, usize, usize)> {
    let mut top = 0;
    let parts = counts.into_iter().enumerate().map(|(severity, count)| {
        top += count;
        (severity, top - count, top)
    });
    parts.filter(|(_, from, to)| from < to).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a quarter")]
fn share(count: usize, most: usize) -> f64 {
    count as f64 / most as f64
}

/// Renders the mean time to resolve of each week that has one.
pub(super) fn resolution(weeks: &[Week]) -> Markup {
    const HOUR: f64 = 3600.0;
    let longest = weeks.iter().filter_map(|w| w.mttr_seconds).fold(0.0, f64::max);
    // A readable scale: half of it is a whole number, too.
    let minutes = [2.0, 10.0, 20.0].map(|minutes| minutes * HOUR / 60.0);
    let hours =
        [1.0, 2.0, 4.0, 8.0, 12.0, 24.0, 48.0, 96.0, 192.0, 336.0].map(|hours| hours * HOUR);
    let scale = minutes.into_iter().chain(hours).find(|scale| *scale >= longest);
    let scale = scale.unwrap_or(longest);
    let marks = [0.0, 0.5, 1.0].map(|part| (axis_time(part * scale), part));
    frames("Mean time to resolve, week by week", &marks, weeks, |size| {
        let points: Vec<_> = weeks
            .iter()
            .enumerate()
            .filter_map(|(index, week)| {
                let (x, width) = size.slot(index, weeks.len());
                let seconds = week.mttr_seconds?;
                Some((x + width / 2, size.ground() - size.up(seconds / scale), seconds, week.from))
            })
            .collect();
        let line = points.iter().map(|(x, y, ..)| format!("{x},{y}")).collect::<Vec<_>>().join(" ");
        html! {
            polyline.line points=(line) {}
            @for (x, y, seconds, from) in &points {
                circle.dot cx=(x) cy=(y) r="5" {
                    title { (long(Some(*seconds))) ", week of " (day(*from)) }
                }
            }
        }
    })
}

/// Formats a time of an axis, in whole minutes, hours or days.
fn axis_time(seconds: f64) -> String {
    match seconds / 3600.0 {
        0.0 => "0".to_owned(),
        hours if hours < 1.0 => format!("{:.0} min", hours * 60.0),
        hours if hours < 48.0 => format!("{hours:.0} h"),
        hours => format!("{:.0} d", hours / 24.0),
    }
}

/// Renders counts as horizontal bars, each with its number.
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
                            rect.track width="200" height="14" rx="3" {}
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

fn day(day: NaiveDate) -> String {
    day.format("%-d %b").to_string()
}

/// Renders a chart in every size; the style sheet shows one.
fn frames(
    label: &str,
    marks: &[(String, f64)],
    weeks: &[Week],
    content: impl Fn(Size) -> Markup,
) -> Markup {
    html! {
        @for size in SIZES {
            svg.chart.(size.name) viewBox=(format!("0 0 {} {}", size.width, size.height)) role="img" aria-label=(label) {
                (axis(size, marks)) (content(size)) (dates(size, weeks))
            }
        }
    }
}

fn axis(size: Size, marks: &[(String, f64)]) -> Markup {
    html! {
        @for (text, share) in marks {
            @let y = size.ground() - size.up(*share);
            line.grid x1=(LEFT) x2=(size.width) y1=(y) y2=(y) {}
            text.mark-text x=(LEFT - 10) y=(y + 4) text-anchor="end" { (text) }
        }
    }
}

fn dates(size: Size, weeks: &[Week]) -> Markup {
    let every = weeks.len().div_ceil(size.dates).max(1);
    html! {
        // Backward, so that the current week always has its date.
        @for (index, week) in weeks.iter().enumerate().rev().step_by(every) {
            @let (x, width) = size.slot(index, weeks.len());
            // In the middle, except the last, which would not fit.
            @let last = index + 1 == weeks.len();
            @let x = if last { x + width } else { x + width / 2 };
            text.mark-text x=(x) y=(size.height - 6) text-anchor=(if last { "end" } else { "middle" }) { (day(week.from)) }
        }
    }
}
