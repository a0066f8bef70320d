use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::Severity;

/// The facts that a postmortem starts from. Its texts are untrusted.
#[derive(Clone, Debug)]
pub struct Facts {
    pub number: String,
    pub title: String,
    pub severity: Severity,
    /// The signal that decided the severity.
    pub rule: String,
    pub services: Vec<String>,
    /// Roles and their holders.
    pub roles: Vec<(String, String)>,
    pub started: DateTime<Utc>,
    pub opened: DateTime<Utc>,
    pub acknowledged: Option<DateTime<Utc>>,
    pub resolved: Option<DateTime<Utc>>,
    pub resolution: Option<String>,
    pub late_response: bool,
    pub late_resolution: bool,
    pub timeline: Vec<PastEvent>,
    pub alerts: Vec<PastAlert>,
    /// The checklist's items that were not done.
    pub undone: Vec<String>,
    pub actions: Vec<PastAction>,
    /// The number of incidents of the same cause in the 90 days before.
    pub repeats: usize,
}

/// An event of the timeline.
#[derive(Clone, Debug)]
pub struct PastEvent {
    pub at: DateTime<Utc>,
    /// The name of its kind.
    pub kind: &'static str,
    pub text: String,
}

/// An alert of the incident.
#[derive(Clone, Debug)]
pub struct PastAlert {
    pub name: String,
    pub description: String,
    pub runbook: Option<String>,
}

/// An action against the incident's cause.
#[derive(Clone, Debug)]
pub struct PastAction {
    pub text: String,
    pub assignee: String,
    pub priority: String,
    pub due: NaiveDate,
    pub done: bool,
}

impl Facts {
    /// Returns the time from the start until it was detected. Clocks differ, so it is cut at zero.
    pub fn time_to_detect(&self) -> TimeDelta {
        (self.opened - self.started).max(TimeDelta::zero())
    }

    /// Returns the time from the detection until it was acknowledged.
    pub fn time_to_acknowledge(&self) -> Option<TimeDelta> {
        Some((self.acknowledged? - self.opened).max(TimeDelta::zero()))
    }

    /// Returns the time from the start to the end.
    pub fn time_to_resolve(&self) -> Option<TimeDelta> {
        Some((self.resolved? - self.started).max(TimeDelta::zero()))
    }

    /// Returns the postmortem as Markdown: known facts are filled in, open questions are asked.
    pub fn postmortem(&self) -> String {
        let mut text = String::new();
        self.head(&mut text);
        self.impact(&mut text);
        self.timeline(&mut text);
        self.whys(&mut text);
        self.lessons(&mut text);
        text
    }

    fn head(&self, text: &mut String) {
        line(text, &format!("# Postmortem: {}, {}\n", self.number, md(&self.title)));
        line(
            text,
            "Blameless: people act sensibly on what they see. We look for what made the mistake",
        );
        line(text, "possible, not for who made it.\n");
        line(text, "| | |\n|---|---|");
        row(
            text,
            "Severity, and what decided it",
            &format!("{}: {}", self.severity.as_str(), md(&self.rule)),
        );
        let services: Vec<_> = self.services.iter().map(|service| md(service)).collect();
        row(text, "Affected services", &services.join(", "));
        row(text, "Began", &time(self.started));
        row(text, "Detected", &time(self.opened));
        row(text, "Acknowledged", &self.acknowledged.map_or("never".to_owned(), time));
        row(text, "Resolved", &self.resolved.map_or("not yet".to_owned(), time));
        let span = |span: Option<TimeDelta>| span.map_or("–".to_owned(), duration);
        row(text, "Time to detect", &duration(self.time_to_detect()));
        row(text, "Time to acknowledge", &span(self.time_to_acknowledge()));
        row(text, "Time to resolve", &span(self.time_to_resolve()));
        for (role, holder) in &self.roles {
            row(text, &capital(role), &md(holder));
        }
        line(text, "\n## Summary\n");
        line(text, "_Three sentences that somebody outside the team understands._\n");
        if let Some(resolution) = &self.resolution {
            line(text, &format!("What ended it: {}\n", md(resolution)));
        }
    }

    fn impact(&self, text: &mut String) {
        line(text, "## Impact\n");
        let lasted = self
            .time_to_resolve()
            .map_or("It is still open".to_owned(), |span| format!("It lasted {}", duration(span)));
        let services: Vec<_> = self.services.iter().map(|service| md(service)).collect();
        line(text, &format!("{lasted} and affected {}.", services.join(", ")));
        line(text, "_What did not work, for whom? What was lost, and what was not?_\n");
    }

    fn timeline(&self, text: &mut String) {
        line(text, "## Timeline\n\nAll times in UTC.\n\n| time | what | |\n|---|---|---|");
        for PastEvent { at, kind, text: event } in &self.timeline {
            line(text, &format!("| {} | {} | {} |", time(*at), kind.replace('_', " "), md(event)));
        }
        line(text, "");
    }

    fn whys(&self, text: &mut String) {
        line(text, "## Five whys\n");
        let first =
            self.alerts.first().map_or("the description of the alert".to_owned(), |alert| {
                format!("{}: {}", md(&alert.name), md(&alert.description))
            });
        line(text, &format!("1. Why did it happen? We saw: {first}\n   _Answer:_"));
        line(text, "2. Why was that possible?\n   _Answer:_");
        line(text, "3. Why did nothing stop it?\n   _Answer:_");
        let detect = duration(self.time_to_detect());
        line(
            text,
            &format!("4. Why was it detected after {detect}, and not sooner?\n   _Answer:_"),
        );
        let resolve = self.time_to_resolve().map_or("so long".to_owned(), duration);
        line(text, &format!("5. Why did it take {resolve} to end it?\n   _Answer:_\n"));
    }

    fn lessons(&self, text: &mut String) {
        line(text, "## What went well, what did not, where we were lucky\n");
        let mut said = false;
        let mut note = |yes: bool, what: String| {
            if yes {
                line(text, &format!("* {what}"));
                said = true;
            }
        };
        note(self.late_response, "Nobody responded in time.".to_owned());
        note(self.late_resolution, "It was not resolved in time.".to_owned());
        note(
            self.repeats > 0,
            format!(
                "The same cause occurred {} times in the 90 days before: the earlier actions were not enough.",
                self.repeats
            ),
        );
        note(!self.undone.is_empty(), format!("Not ticked: {}.", md(&self.undone.join("; "))));
        note(
            self.alerts.iter().any(|alert| alert.runbook.is_none()),
            "An alert had no runbook.".to_owned(),
        );
        if !said {
            line(text, "* _…_");
        }
        line(text, "\n## Actions\n");
        line(text, "| action | priority | who | due | |\n|---|---|---|---|---|");
        for PastAction { text: action, assignee, priority, due, done } in &self.actions {
            let done = if *done { "done" } else { "open" };
            let (action, assignee) = (md(action), md(assignee));
            line(text, &format!("| {action} | {priority} | {assignee} | {due} | {done} |"));
        }
        if self.actions.is_empty() {
            line(text, "| _what keeps it from happening again?_ | | | | |");
            if self.repeats > 0 {
                line(text, "| _find out why the earlier actions did not help_ | high | | | |");
            }
        }
    }
}

fn line(text: &mut String, line: &str) {
    let _ = writeln!(text, "{line}"); // writing into a String cannot fail
}

fn row(text: &mut String, name: &str, value: &str) {
    line(text, &format!("| {name} | {value} |"));
}

fn capital(word: &str) -> String {
    let word = word.replace('_', " ");
    let mut chars = word.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Formats a duration for people, in its two largest units.
pub fn duration(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, ..) => format!("{d} d {h} h"),
    }
}

/// Escapes text as one line of Markdown in which nothing is markup.
pub fn md(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in super::text::inert(text, 4_000).chars() {
        match c {
            '\n' => escaped.push(' '),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    fn facts() -> Facts {
        let at = |minute, second| Utc.with_ymd_and_hms(2026, 5, 1, 10, minute, second).unwrap();
        Facts {
            number: "INC-2026-0007".to_owned(),
            title: "Points | <b>fails</b>".to_owned(),
            severity: Severity::P0,
            rule: "label severity=critical".to_owned(),
            services: vec!["points".to_owned(), "booking".to_owned()],
            roles: vec![("technical_lead".to_owned(), "Grace".to_owned())],
            started: at(0, 0),
            opened: at(1, 30),
            acknowledged: Some(at(4, 0)),
            resolved: Some(at(40, 0)),
            resolution: Some("Rolled back".to_owned()),
            late_response: false,
            late_resolution: true,
            timeline: vec![PastEvent {
                at: at(1, 30),
                kind: "opened",
                text: "Opened `x`\n# not a heading".to_owned(),
            }],
            alerts: vec![PastAlert {
                name: "HighErrorRate".to_owned(),
                description: "5xx".to_owned(),
                runbook: None,
            }],
            undone: vec!["All clear".to_owned()],
            actions: vec![PastAction {
                text: "Test it".to_owned(),
                assignee: "Ada".to_owned(),
                priority: "high".to_owned(),
                due: NaiveDate::from_ymd_opt(2026, 6, 1).unwrap(),
                done: false,
            }],
            repeats: 2,
        }
    }

    #[test]
    fn what_is_known_is_filled_in() {
        let text = facts().postmortem();
        for part in [
            "# Postmortem: INC-2026-0007, Points \\| &lt;b&gt;fails&lt;/b&gt;",
            "| Time to detect | 1 min 30 s |",
            "| Time to acknowledge | 2 min 30 s |",
            "| Time to resolve | 40 min 0 s |",
            "| Technical lead | Grace |",
            "affected points, booking.",
            "after 1 min 30 s, and not sooner?",
            "occurred 2 times in the 90 days before",
            "* Not ticked: All clear.",
            "| Test it | high | Ada | 2026-06-01 | open |",
            "| 2026-05-01 10:01:30 | opened | Opened \\`x\\` \\# not a heading |",
        ] {
            assert!(text.contains(part), "{part}\n\n{text}");
        }
    }

    #[test]
    fn no_time_is_negative_when_clocks_differ() {
        let mut facts = facts();
        facts.started = facts.opened + TimeDelta::minutes(5);
        facts.resolved = Some(facts.opened);
        facts.acknowledged = Some(facts.opened - TimeDelta::minutes(5));
        assert_eq!(facts.time_to_detect(), TimeDelta::zero());
        assert_eq!(facts.time_to_acknowledge(), Some(TimeDelta::zero()));
        assert_eq!(facts.time_to_resolve(), Some(TimeDelta::zero()));
    }
}
