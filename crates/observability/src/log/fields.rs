//! The fields of one event, flat.

use std::error::Error;
use std::fmt::{Debug, Display, Write};

use tracing::field::{Field, Visit};

use super::escape::Escaped;
use crate::config::LogFormat;

/// Maximum length of a value other than a stack.
const LIMIT: usize = 8 * 1024;
const STACK_LIMIT: usize = 64 * 1024;

const OURS: [&str; 4] = ["timestamp", "level", "service", "target"];
const IDS: [&str; 5] = ["request_id", "correlation_id", "user_id", "trace_id", "span_id"];

pub(super) struct Fields<'a> {
    line: &'a mut String,
    format: LogFormat,
    /// The [`IDS`] that the event has itself.
    stated: [bool; IDS.len()],
}

impl<'a> Fields<'a> {
    pub(super) fn new(line: &'a mut String, format: LogFormat) -> Self {
        Self { line, format, stated: [false; IDS.len()] }
    }

    /// Writes an id from the context.
    pub(super) fn id(&mut self, name: &str, id: impl Display) {
        let stated = IDS.iter().position(|known| *known == name).is_some_and(|i| self.stated[i]);
        if !stated {
            self.text(name, format_args!("{id}"));
        }
    }

    fn key(&mut self, name: &str) {
        if let Some(i) = IDS.iter().position(|known| *known == name) {
            self.stated[i] = true;
        }
        // A repeated key could replace the line's own.
        let prefix = if OURS.contains(&name) { "field_" } else { "" };
        // Writing to a String cannot fail, here and below.
        let _ = match self.format {
            LogFormat::Json => write!(self.line, ",\"{prefix}{name}\":"),
            LogFormat::Pretty => write!(self.line, " {prefix}{name}="),
        };
    }

    fn bare(&mut self, name: &str, value: impl Display) {
        self.key(name);
        let _ = write!(self.line, "{value}");
    }

    fn text(&mut self, name: &str, value: impl Display) {
        match (self.format, name) {
            (LogFormat::Pretty, "message") => {
                self.line.push(' ');
                let _ = write!(Escaped::new(self.line, LIMIT), "{value}");
            }
            (LogFormat::Pretty, "stack") => {
                for frame in value.to_string().lines() {
                    self.line.push_str("\n    ");
                    let _ = write!(Escaped::new(self.line, LIMIT), "{frame}");
                }
            }
            _ => {
                self.key(name);
                self.line.push('"');
                let limit = if name == "stack" { STACK_LIMIT } else { LIMIT };
                let _ = write!(Escaped::new(self.line, limit), "{value}");
                self.line.push('"');
            }
        }
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field.name(), format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field.name(), value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.bare(field.name(), value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.bare(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN and no infinity.
        if value.is_finite() {
            self.bare(field.name(), value);
        } else {
            self.text(field.name(), value);
        }
    }

    /// Includes the causes: the top of an error chain seldom explains it.
    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        let mut chain = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let _ = write!(chain, ": {error}");
            cause = error.source();
        }
        self.text(field.name(), chain);
    }
}
