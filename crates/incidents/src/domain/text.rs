//! Untrusted text, made safe to store and to show.

/// Keeps at most `max` characters, without U+0000, which PostgreSQL cannot store. Nothing else is changed:
/// each channel escapes for itself.
pub(super) fn stored(text: &str, max: usize) -> String {
    text.chars()
        .take(max)
        .map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// Makes one [`inert`] line of at most `max` characters. `None` when nothing is left.
pub(super) fn line(text: Option<&String>, max: usize) -> Option<String> {
    let plain = inert(text?, usize::MAX).replace('\n', " ");
    let line: String = plain.trim().chars().take(max).collect();
    let line = line.trim_end();
    (!line.is_empty()).then(|| line.to_owned())
}

/// Keeps at most `max` characters, and blanks those that a terminal or a reader obeys: control characters, and
/// marks that change the direction of text.
pub(crate) fn inert(text: &str, max: usize) -> String {
    let obeyed = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.replace("\r\n", "\n").chars().take(max).map(|c| if obeyed(c) { ' ' } else { c }).collect()
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
        assert_eq!(line(Some(&"a\r\nb\u{1b}[31m\u{202e}c".to_owned()), 50).unwrap(), "a b [31m c");
    }

    #[test]
    fn a_nul_is_shown_and_not_lost() {
        assert_eq!(stored("a\0b", 50), "a\u{fffd}b");
    }
}
