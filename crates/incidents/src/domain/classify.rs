use super::{Severity, Texts};

/// The severity of an alert, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classification {
    pub severity: Severity,
    /// True when the alert gave no severity, or an unknown one: a person should check it.
    pub uncertain: bool,
    /// The signal that decided the severity, for people.
    pub rule: String,
}

/// Limits from which an alert has a severity. Ratios are from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// The share of failed requests for P0, P1, P2.
    pub error_rate: [f64; 3],
    /// The availability below which an alert is P0.
    pub availability: f64,
    /// The seconds for P1, P2.
    pub response_time: [f64; 2],
    /// The number of members for P0, P1, P2.
    pub affected_users: [f64; 3],
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            error_rate: [0.5, 0.2, 0.05],
            availability: 0.95,
            response_time: [5.0, 3.0],
            affected_users: [1_000.0, 100.0, 10.0],
        }
    }
}

/// The severity of one signal, whether it is uncertain, and its name.
type Vote = (Severity, bool, String);

impl Thresholds {
    /// Classifies by labels and annotated numbers only: a search in free text once made a P0 of the
    /// words "memory leak". The worst signal decides. An unreadable signal counts as P2 and is flagged:
    /// it must not page anybody, and must not be overlooked.
    pub fn classify(&self, labels: &Texts, annotations: &Texts) -> Classification {
        let votes = [
            label(labels),
            flag(labels, "security", Severity::P0),
            flag(labels, "core_function", Severity::P1),
            number(annotations, "error_rate", 1.0, |n| at_least(n, &self.error_rate)),
            number(annotations, "availability", 1.0, |n| {
                (n < self.availability).then_some((Severity::P0, self.availability))
            }),
            number(annotations, "response_time_seconds", f64::MAX, |n| {
                at_least(n, &self.response_time).map(|(s, limit)| (s.milder(), limit))
            }),
            number(annotations, "affected_users", f64::MAX, |n| at_least(n, &self.affected_users)),
        ];
        let uncertain = votes.iter().flatten().any(|(_, uncertain, _)| *uncertain);
        let worst = votes.into_iter().flatten().min_by_key(|(severity, ..)| *severity);
        match worst {
            Some((severity, _, rule)) => Classification { severity, uncertain, rule },
            None => Classification {
                severity: Severity::P2,
                uncertain: true,
                rule: "no signal at all".to_owned(),
            },
        }
    }
}

fn label(labels: &Texts) -> Option<Vote> {
    let word = labels.get("severity")?.trim().to_ascii_lowercase();
    let severity = match word.as_str() {
        "p0" | "critical" => Severity::P0,
        "p1" | "error" => Severity::P1,
        "p2" | "warning" => Severity::P2,
        "p3" | "info" => Severity::P3,
        "" => return None,
        // The word is not repeated: it is untrusted.
        _ => return Some((Severity::P2, true, "unknown label severity".to_owned())),
    };
    Some((severity, false, format!("label severity={word}")))
}

fn flag(labels: &Texts, name: &str, severity: Severity) -> Option<Vote> {
    (labels.get(name)?.trim() == "true").then(|| (severity, false, format!("label {name}=true")))
}

/// Judges a number from 0 to `most`. A number below every threshold is no signal: it must not lower the severity.
fn number(
    annotations: &Texts,
    name: &str,
    most: f64,
    judge: impl Fn(f64) -> Option<(Severity, f64)>,
) -> Option<Vote> {
    let text = annotations.get(name)?;
    match text.trim().parse::<f64>() {
        Ok(number) if (0.0..=most).contains(&number) => judge(number)
            .map(|(severity, limit)| (severity, false, format!("{name} {number} beyond {limit}"))),
        // Such as NaN, a negative number, a percentage in place of a ratio, or no number.
        _ => Some((Severity::P2, true, format!("unreadable {name}"))),
    }
}

/// Returns the first limit that is reached; the limits begin with P0's.
fn at_least(number: f64, limits: &[f64]) -> Option<(Severity, f64)> {
    let reached = Severity::ALL.into_iter().zip(limits);
    reached.map(|(severity, limit)| (severity, *limit)).find(|(_, limit)| number >= *limit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn classify(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Classification {
        let texts = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
        };
        Thresholds::default().classify(&texts(labels), &texts(annotations))
    }

    #[test]
    fn known_words_are_certain() {
        for (word, severity) in [
            ("critical", Severity::P0),
            ("P0", Severity::P0),
            ("error", Severity::P1),
            (" Warning ", Severity::P2),
            ("info", Severity::P3),
        ] {
            let found = classify(&[("severity", word)], &[]);
            assert_eq!((found.severity, found.uncertain), (severity, false), "{word}");
        }
    }

    #[test]
    fn a_missing_or_unknown_word_is_p2_and_flagged() {
        assert!(classify(&[], &[]).uncertain);
        for word in ["", "P9", "P", "critical!", "50", "NaN"] {
            let found = classify(&[("severity", word)], &[]);
            assert_eq!((found.severity, found.uncertain), (Severity::P2, true), "{word:?}");
        }
    }

    #[test]
    fn the_worst_signal_decides_and_is_named() {
        for (name, value, severity) in [
            ("error_rate", "0.5", Severity::P0),
            ("error_rate", "0.2", Severity::P1),
            ("error_rate", "0.05", Severity::P2),
            ("availability", "0.949", Severity::P0),
            ("response_time_seconds", "5", Severity::P1),
            ("response_time_seconds", "3", Severity::P2),
            ("affected_users", "1000", Severity::P0),
            ("affected_users", "100", Severity::P1),
            ("affected_users", "10", Severity::P2),
        ] {
            let found = classify(&[("severity", "info")], &[(name, value)]);
            assert_eq!((found.severity, found.uncertain), (severity, false), "{name} {value}");
            assert!(found.rule.starts_with(name), "{}", found.rule);
        }
        assert_eq!(classify(&[("security", "true")], &[]).severity, Severity::P0);
        assert_eq!(classify(&[("core_function", "true")], &[]).severity, Severity::P1);
        // A number below its threshold does not lower the label's severity.
        assert_eq!(
            classify(&[("severity", "error")], &[("error_rate", "0")]).severity,
            Severity::P1
        );
    }

    #[test]
    fn a_number_that_makes_no_sense_is_p2_and_flagged() {
        for (name, value) in [
            ("error_rate", "NaN"),
            ("error_rate", "50"),
            ("error_rate", "-0.1"),
            ("availability", "99.9"),
            ("affected_users", "inf"),
            ("response_time_seconds", "5 s"),
        ] {
            let found = classify(&[("severity", "info")], &[(name, value)]);
            assert_eq!((found.severity, found.uncertain), (Severity::P2, true), "{name} {value}");
        }
    }

    proptest! {
        #[test]
        fn anything_has_exactly_one_severity(
            labels: std::collections::BTreeMap<String, String>,
            severity: String, rate: String, users: String,
        ) {
            let mut labels = labels;
            labels.insert("severity".to_owned(), severity);
            let annotations = Texts::from([
                ("error_rate".to_owned(), rate), ("affected_users".to_owned(), users),
            ]);
            let found = Thresholds::default().classify(&labels, &annotations);
            prop_assert!(Severity::ALL.contains(&found.severity));
            prop_assert!((1..=200).contains(&found.rule.chars().count()));
        }

        #[test]
        fn a_worse_number_is_never_milder(
            name in prop::sample::select(vec!["error_rate", "response_time_seconds", "affected_users"]),
            (a, b) in (0.0..1.0_f64, 0.0..1.0_f64), word in "critical|error|warning|info|P9|",
        ) {
            let scale = match name { "error_rate" => 1.0, "affected_users" => 2_000.0, _ => 10.0 };
            let at = |n: f64| {
                classify(&[("severity", &word)], &[(name, &(n * scale).to_string())]).severity
            };
            prop_assert!(at(a.max(b)) <= at(a.min(b)));
        }

        #[test]
        fn less_availability_is_never_milder((a, b) in (0.0..1.0_f64, 0.0..1.0_f64)) {
            let at = |n: f64| {
                classify(&[("severity", "info")], &[("availability", &n.to_string())]).severity
            };
            prop_assert!(at(a.min(b)) <= at(a.max(b)));
        }
    }
}
