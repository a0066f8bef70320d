//! Escapes text from outside, so that it cannot end a line, begin a field, move a terminal's cursor, change
//! the reading direction, or fill the disk.

use std::fmt::{self, Write};

/// Writes into a JSON string, and omits everything beyond `left` bytes.
pub(super) struct Escaped<'a> {
    out: &'a mut String,
    left: usize,
}

impl<'a> Escaped<'a> {
    pub(super) fn new(out: &'a mut String, limit: usize) -> Self {
        Self { out, left: limit }
    }
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.left == 0 {
            return Ok(());
        }
        let end = text.floor_char_boundary(self.left);
        escape(self.out, &text[..end]);
        self.left -= end;
        if end < text.len() {
            self.left = 0;
            self.out.push('…');
        }
        Ok(())
    }
}

fn escape(out: &mut String, text: &str) {
    if text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\') {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
}

/// Returns true for control characters (C0, DEL, C1), line and paragraph separators, and marks that hide or
/// reorder text.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}
