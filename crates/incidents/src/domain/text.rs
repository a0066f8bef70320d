//! Text from strangers, made fit to be kept.

/// At most `max` characters, without U+0000, which PostgreSQL cannot hold. Nothing else is changed:
/// each channel escapes for itself.
pub(super) fn stored(text: &str, max: usize) -> String {
    text.chars()
        .take(max)
        .map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// One line of at most `max` characters; control characters become spaces. None when nothing is left.
pub(super) fn line(text: Option<&String>, max: usize) -> Option<String> {
    let plain: String = text?.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line: String = plain.trim().chars().take(max).collect();
    let line = line.trim_end();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(stored("日本語", 2), "日本");
        assert_eq!(line(Some(&"日本語".to_owned()), 2).unwrap(), "日本");
    }

    #[test]
    fn a_line_cannot_become_two() {
        assert_eq!(line(Some(&"a\r\nb\u{1b}[31m".to_owned()), 50).unwrap(), "a  b [31m");
    }

    #[test]
    fn a_nul_is_shown_and_not_lost() {
        assert_eq!(stored("a\0b", 50), "a\u{fffd}b");
    }
}
