use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::http::{Address, Client};
use super::link;
use crate::domain::{News, Notice, Severity};

/// An incoming webhook of a Slack channel.
pub(super) struct Slack {
    client: Client,
    address: Address,
    console: String,
}

impl Slack {
    pub(super) fn new(client: Client, address: Address, console: &str) -> Self {
        Self { client, address, console: console.to_owned() }
    }

    pub(super) async fn send(&self, notice: &Notice) -> Result<(), String> {
        let message = message(notice, &link(&self.console, notice)).to_string();
        self.client.post(&self.address, HeaderMap::new(), message.into_bytes()).await
    }
}

/// Formats a notice in plain text, so that nothing in it is markup, within Slack's limits (150 and 3,000 characters
/// after escaping).
fn message(notice: &Notice, link: &str) -> Value {
    let icon = match (notice.news, notice.severity) {
        (News::Resolved, _) => "✅",
        (_, Severity::P0) => "🚨",
        (_, Severity::P1) => "🔴",
        (_, Severity::P2) => "🟠",
        (_, Severity::P3) => "🔵",
    };
    let field = |name: &str, value: &str| plain(&format!("{name}\n{value}"), 400);
    json!({
        "text": escape(&notice.subject(), 600),
        "unfurl_links": false,
        "blocks": [
            { "type": "header", "text": plain(&format!("{icon} {}", notice.subject()), 150) },
            { "type": "section", "fields": [
                field("Severity", notice.severity.as_str()),
                field("Service", &notice.service),
                field("Incident", &notice.number),
                field("News", notice.news.words()),
            ] },
            { "type": "section", "text": plain(&notice.body(), 2_900) },
            { "type": "actions", "elements": [
                { "type": "button", "text": plain("Open the incident", 75), "url": link },
            ] },
        ],
    })
}

fn plain(text: &str, max: usize) -> Value {
    json!({ "type": "plain_text", "text": escape(text, max), "emoji": false })
}

/// Escapes Slack's three special characters (`<!channel>`, `<url|text>`, `&entity;`), and cuts between escapes.
fn escape(text: &str, max: usize) -> String {
    let mut escaped = String::new();
    let mut length = 0;
    for c in text.chars() {
        let piece = match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            c if c.is_control() && c != '\n' => " ".to_owned(),
            c => c.to_string(),
        };
        length += piece.chars().count();
        if length > max {
            break;
        }
        escaped.push_str(&piece);
    }
    if escaped.is_empty() { "–".to_owned() } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_is_never_cut_in_two() {
        assert_eq!(escape("ab<cd", 5), "ab");
        assert_eq!(escape("ab<cd", 6), "ab&lt;");
        assert_eq!(escape("<!channel> & `x`", 100), "&lt;!channel&gt; &amp; `x`");
        assert_eq!(escape("", 10), "–");
    }
}
