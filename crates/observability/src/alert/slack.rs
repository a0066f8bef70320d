//! Formats an alert for Slack. Plain text where possible; all markup is escaped.

use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use super::{Alert, Level};

/// Maximum characters of a stack.
const STACK: usize = 1_000;

/// Slack's limits: 150 characters for a header, 2,000 for a field, 3,000 for a text, and ten fields. It
/// counts after escaping; some room is left for our own words.
const HEADER: usize = 140;
const FIELD: usize = 1_900;
const TEXT: usize = 2_900;
const FIELDS: usize = 10;

pub(super) fn message(service: &str, alert: &Alert) -> Value {
    let icon = match alert.level {
        Level::Critical => "🚨",
        Level::Error => "🔴",
        Level::Warning => "⚠️",
        Level::Info => "ℹ️",
    };
    let title = format!("{icon} {}", alert.title);
    let seconds = alert.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // Each reader sees the time in their own zone; a client that does not know the format shows the number.
    let at = format!("<!date^{seconds}^{{date_num}} {{time_secs}}|{seconds}>");
    let mut fields = vec![field("Service", service), field("Level", alert.level.as_str())];
    if !alert.path.is_empty() {
        fields.push(field("Path", &alert.path));
    }
    fields.push(json!({ "type": "mrkdwn", "text": format!("Time: {at}") }));
    if alert.repeated > 0 {
        fields.push(field("Not sent before it", &alert.repeated.to_string()));
    }
    fields.extend(alert.metadata.iter().map(|(name, value)| field(name, value)));
    fields.truncate(FIELDS);

    let mut blocks = vec![
        json!({ "type": "header", "text": plain(&title, HEADER) }),
        json!({ "type": "section", "fields": fields }),
        json!({ "type": "section", "text": plain(&alert.message, TEXT) }),
    ];
    if !alert.stack.is_empty() {
        let stack: String = alert.stack.chars().take(STACK).collect();
        // A backtick could end the code block.
        let stack = escape(&stack.replace('`', "'"), TEXT);
        let text = json!({ "type": "mrkdwn", "text": format!("```{stack}```") });
        blocks.push(json!({ "type": "section", "text": text }));
    }
    // `text` is shown in notifications.
    json!({ "text": escape(&format!("{title}: {}", alert.message), TEXT), "mrkdwn": false, "blocks": blocks })
}

fn field(name: &str, value: &str) -> Value {
    plain(&format!("{name}: {value}"), FIELD)
}

fn plain(text: &str, max: usize) -> Value {
    json!({ "type": "plain_text", "text": escape(text, max), "emoji": false })
}

/// Escapes the three characters that Slack interprets (`<!channel>`, `<url|text>`, `&entity;`), removes
/// invisible and direction-changing characters, and cuts between characters.
fn escape(text: &str, max: usize) -> String {
    let mut escaped = String::new();
    let mut length = 0;
    for character in text.chars().filter(|c| !is_hidden(*c)) {
        let mut one = [0; 4];
        let shown: &str = match character {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => character.encode_utf8(&mut one),
        };
        let long = shown.chars().count();
        if length + long > max {
            break;
        }
        escaped.push_str(shown);
        length += long;
    }
    // Slack refuses an empty text.
    if escaped.is_empty() { "-".to_owned() } else { escaped }
}

fn is_hidden(character: char) -> bool {
    let marks = ['\u{200e}', '\u{200f}', '\u{061c}', '\u{feff}'];
    (character.is_control() && character != '\n')
        || ('\u{202a}'..='\u{202e}').contains(&character)
        || ('\u{2066}'..='\u{2069}').contains(&character)
        || marks.contains(&character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) => found.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
            Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
            _ => {}
        }
    }

    #[test]
    fn markup_is_escaped_and_every_limit_kept_on_a_character_border() {
        let hostile = "<!channel> & ```x``` \u{202e}evil\u{0} ".repeat(500);
        let alert = Alert::critical(hostile.clone(), hostile.clone())
            .path(hostile.clone())
            .stack("é<`".repeat(2_000))
            .with("request_id", hostile.clone());
        let message = message("points", &alert);
        let mut found = Vec::new();
        texts(&message, &mut found);
        for text in &found {
            assert!(!text.contains("<!channel") && !text.contains('\u{202e}'), "{text}");
            assert!(text.chars().count() <= 3_000);
        }
        let blocks = message["blocks"].as_array().unwrap();
        assert!(blocks[0]["text"]["text"].as_str().unwrap().chars().count() <= 150);
        let stack = blocks[3]["text"]["text"].as_str().unwrap();
        assert_eq!(stack.matches("```").count(), 2);
        assert_eq!(stack.matches('é').count(), 334, "1,000 characters of it");
    }

    #[test]
    fn an_entity_is_never_cut_in_half() {
        for max in 1..20 {
            let escaped = escape(&"&".repeat(10), max);
            assert!(escaped == "-" || escaped.ends_with(';'), "{escaped}");
        }
    }
}
