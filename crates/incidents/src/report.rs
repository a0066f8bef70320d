//! `incidents report --month 2026-11`: the report of a month, as Markdown.

use std::fmt::Write as _;
use std::str::FromStr;

use chrono::{DateTime, Months, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::app::{Error, Incidents};
use crate::domain::{Count, Severity, Statistics, duration, md};
use crate::view::{ActionItem, Actions};

/// A month of a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(NaiveDate);

impl FromStr for Month {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let first = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d");
        first.map(Self).map_err(|_| "expected a month such as 2026-11")
    }
}

impl Month {
    fn begins(self) -> DateTime<Utc> {
        self.0.and_time(NaiveTime::MIN).and_utc()
    }

    fn next(self) -> Self {
        Self(self.0 + Months::new(1))
    }

    fn previous(self) -> Self {
        Self(self.0 - Months::new(1))
    }
}

/// Returns the report of a month, compared with the previous one.
pub async fn monthly(incidents: &Incidents, month: Month) -> Result<String, Error> {
    let of = |month: Month| incidents.statistics(month.begins(), month.next().begins());
    let (now, before) = (of(month).await?, of(month.previous()).await?);
    let open = incidents.actions(Actions::Open).await?;
    Ok(render(month, &now, &before, &open, incidents.now().date_naive()))
}

/// Prints the report, for `incidents report`.
#[expect(clippy::print_stdout, reason = "the command prints a report")]
pub async fn print(incidents: &Incidents, month: Month) -> anyhow::Result<()> {
    print!("{}", monthly(incidents, month).await?);
    Ok(())
}

fn render(
    month: Month,
    now: &Statistics,
    before: &Statistics,
    open: &[ActionItem],
    today: NaiveDate,
) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}"); // writing into a String cannot fail
    };
    line(format!("# Incidents in {}\n", month.0.format("%B %Y")));
    line(format!(
        "| | {} | {} |\n|---|---|---|",
        month.0.format("%b"),
        month.previous().0.format("%b")
    ));
    line(format!("| incidents | {} | {} |", now.incidents, before.incidents));
    for (index, severity) in Severity::ALL.into_iter().enumerate() {
        let (now, before) = (now.by_severity[index], before.by_severity[index]);
        line(format!("| {} | {now} | {before} |", severity.as_str()));
    }
    for (name, now, before) in [
        ("mean time to detect", now.mttd_seconds, before.mttd_seconds),
        ("mean time to acknowledge", now.mtta_seconds, before.mtta_seconds),
        ("mean time to resolve", now.mttr_seconds, before.mttr_seconds),
    ] {
        line(format!("| {name} | {} | {} |", span(now), span(before)));
    }
    line(format!("| late | {} | {} |\n", now.late, before.late));
    list(&mut line, "By service", &now.by_service);
    list(&mut line, "Recurring causes", &now.repeats);
    if now.repeats.is_empty() {
        line("## Recurring causes\n\nNone.\n".to_owned());
    }
    let overdue = open.iter().filter(|action| action.due < today).count();
    line(format!("## Actions\n\n{} open, {overdue} overdue.\n", open.len()));
    for action in open.iter().take(30) {
        let late = if action.due < today { " **overdue**" } else { "" };
        let (text, assignee) = (md(&action.text), md(&action.assignee));
        line(format!(
            "* {assignee} by {}{late}: {text} ({}, {})",
            action.due, action.priority, action.number
        ));
    }
    text
}

fn list(line: &mut impl FnMut(String), title: &str, counts: &[Count]) {
    if counts.is_empty() {
        return;
    }
    line(format!("## {title}\n"));
    for Count { name, count } in counts {
        line(format!("* {count} × {}", md(name)));
    }
    line(String::new());
}

fn span(seconds: Option<f64>) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds are meant")]
    let whole = |seconds: f64| duration(TimeDelta::seconds(seconds as i64));
    seconds.map_or("–".to_owned(), whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_a_month() {
        assert_eq!("2026-01".parse::<Month>().unwrap().previous(), "2025-12".parse().unwrap());
        for wrong in ["2026-13", "2026", "x", "2026-1-1", ""] {
            assert!(wrong.parse::<Month>().is_err(), "{wrong}");
        }
    }
}
