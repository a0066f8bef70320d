//! Text of people, and untrusted text made safe to store and to show.

use thiserror::Error;

/// Text of several lines that a person wrote: 1 to 4,000 characters, no U+0000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongText(String);

/// A document that a person wrote: 1 to 40,000 characters, no U+0000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Markdown(String);

/// One line of text that a person wrote, such as a name: 1 to 100 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortText(String);

/// A text that is empty, too long, or contains characters that cannot be stored.
#[derive(Debug, Error)]
#[error("must be 1 to {0} characters, without control characters")]
pub struct InvalidText(usize);

/// Checks text of several lines with at most `max` characters.
fn written(text: &str, max: usize) -> Result<String, InvalidText> {
    let text = text.trim().replace("\r\n", "\n");
    let odd = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.is_empty() || text.chars().count() > max || text.contains(odd) {
        return Err(InvalidText(max));
    }
    Ok(text)
}

impl Markdown {
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        written(text, 40_000).map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl LongText {
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        written(text, 4_000).map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ShortText {
    const MAX: usize = 100;

    pub fn new(text: &str) -> Result<Self, InvalidText> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > Self::MAX || text.contains(char::is_control) {
            return Err(InvalidText(Self::MAX));
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

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
