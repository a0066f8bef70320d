//! Errors as pages, for browsers.

use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use kit::error::PROBLEM_JSON;
use serde_json::Value;

use crate::pages;

/// Turns a problem into a page when the client asked for a page.
pub(super) async fn readable(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let console = path == "/console" || path.starts_with("/console/");
    // These are pages, whatever the client accepts.
    let page = path == "/" || console || prefers_pages(request.headers());
    let again = (request.method() == Method::GET).then(|| request.uri().clone());
    let response = next.run(request).await;
    let media_type = response.headers().get(CONTENT_TYPE);
    if !page || media_type.is_none_or(|value| value != PROBLEM_JSON) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 64 * 1024).await.unwrap_or_default();
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |field: &str| problem[field].as_str().unwrap_or_default();
    let wait = head.headers.get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
    let again = again.as_ref().and_then(|uri| uri.path_and_query());
    let again = again.map(|page| pages::Here::of(page.as_str()));
    let shown = pages::Problem {
        status: head.status.as_u16(),
        title: text("title"),
        detail: text("detail"),
        code: text("code"),
        request: text("request_id"),
        wait,
        again,
        console,
    };
    // Both describe the replaced body; all other headers stay.
    head.headers.remove(CONTENT_TYPE);
    head.headers.remove(CONTENT_LENGTH);
    (head.status, head.headers, Html(pages::problem(&shown).into_string())).into_response()
}

/// True when the client prefers HTML to JSON. A client without a preference is a program.
fn prefers_pages(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (mut pages, mut data) = (0.0_f32, 0.0_f32);
    for range in accepted.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        match media_type.as_str() {
            "text/html" => pages = pages.max(weight),
            "application/json" | PROBLEM_JSON => data = data.max(weight),
            _ => {}
        }
    }
    pages > data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_prefers_pages_and_a_program_data() {
        for (accept, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", true),
            ("text/html, */*;q=0.8", true),
            ("TEXT/HTML;level=1;q=0.7, application/json;q=0.3", true),
            ("*/*", false),
            ("", false),
            ("application/json", false),
            ("application/json, text/html", false),
            ("application/problem+json, text/html;q=0.9", false),
            ("text/html;q=0, */*", false),
            ("text/html;q=x, application/json", false),
            ("text/event-stream", false),
        ] {
            let headers = [(ACCEPT, accept.parse().unwrap())].into_iter().collect();
            assert_eq!(prefers_pages(&headers), expected, "{accept}");
        }
    }
}
