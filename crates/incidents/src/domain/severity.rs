use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How bad it is. P0 is worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum Severity {
    P0,
    P1,
    P2,
    P3,
}

/// Exactly one severity for any alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classification {
    pub severity: Severity,
    /// The alert did not say, or not in words we know; a person should look.
    pub uncertain: bool,
}

impl Severity {
    pub const ALL: [Self; 4] = [Self::P0, Self::P1, Self::P2, Self::P3];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
        }
    }
}

impl Classification {
    /// From the `severity` label, and from nothing else: a search in free text once made a P0 of the
    /// words "memory leak".
    pub fn of(label: Option<&str>) -> Self {
        let word = label.unwrap_or_default().trim().to_ascii_lowercase();
        let severity = match word.as_str() {
            "p0" | "critical" => Severity::P0,
            "p1" | "error" => Severity::P1,
            "p2" | "warning" => Severity::P2,
            "p3" | "info" => Severity::P3,
            _ => return Self { severity: Severity::P2, uncertain: true },
        };
        Self { severity, uncertain: false }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_words_are_certain() {
        for (word, severity) in [
            ("critical", Severity::P0),
            ("P0", Severity::P0),
            ("error", Severity::P1),
            ("p1", Severity::P1),
            (" Warning ", Severity::P2),
            ("P2", Severity::P2),
            ("info", Severity::P3),
            ("P3", Severity::P3),
        ] {
            assert_eq!(
                Classification::of(Some(word)),
                Classification { severity, uncertain: false }
            );
        }
    }

    #[test]
    fn a_missing_or_unknown_word_is_p2_and_flagged() {
        for word in
            [None, Some(""), Some("P9"), Some("P"), Some("critical!"), Some("50"), Some("NaN")]
        {
            let found = Classification::of(word);
            assert_eq!(
                found,
                Classification { severity: Severity::P2, uncertain: true },
                "{word:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_has_exactly_one_severity(text: String) {
            let found = Classification::of(Some(&text));
            prop_assert!(Severity::ALL.contains(&found.severity));
            prop_assert!(!found.uncertain || found.severity == Severity::P2);
        }
    }
}
