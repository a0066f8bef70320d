//! Errors as pages: the event, the next step, and the request's id for support.

use maud::{Markup, html};

use super::frame::static_page;

/// The data of an error.
pub(crate) struct Problem<'a> {
    pub(crate) status: u16,
    pub(crate) title: &'a str,
    pub(crate) detail: &'a str,
    pub(crate) code: &'a str,
    pub(crate) request: &'a str,
    /// The seconds after which another attempt may succeed.
    pub(crate) wait: Option<u64>,
    /// The page to load again; `None` after a form.
    pub(crate) again: Option<Here<'a>>,
    /// True when it happened in the console.
    pub(crate) console: bool,
}

/// An address on this site.
#[derive(Clone, Copy)]
pub(crate) struct Here<'a>(&'a str);

impl<'a> Here<'a> {
    /// Accepts an address on this site, else returns the start page: a browser reads `//host/` and `/\host/` as
    /// `https://host/`.
    pub(crate) fn of(address: &'a str) -> Self {
        let rest = address.strip_prefix('/');
        Self(rest.filter(|rest| !rest.starts_with(['/', '\\'])).map_or("/", |_| address))
    }
}

pub(crate) fn problem(problem: &Problem<'_>) -> Markup {
    let title = title(problem);
    let helps = matches!(problem.status, 429 | 500..);
    let content = html! {
        section.panel.problem {
            h1 { (title) }
            p.error role="alert" { (what_happened(problem)) }
            p { (what_to_do(problem)) }
            p.row {
                @if let Some(Here(page)) = problem.again.filter(|_| helps) { a.button href=(page) { "Try again" } }
                a.button href="/" { "Status page" }
                @if problem.console { a.button href="/console" { "Incidents" } }
            }
            @if !problem.request.is_empty() {
                p.quiet { "Quote this when you ask for help: request " code { (problem.request) } }
            }
        }
    };
    static_page(&title, &html! {}, &content)
}

fn title(problem: &Problem<'_>) -> String {
    match problem.status {
        _ if is_no_page(problem) => "Page not found".to_owned(),
        500 => "Something went wrong".to_owned(),
        503 => "Not available right now".to_owned(),
        _ => problem.title.to_owned(),
    }
}

fn what_happened(problem: &Problem<'_>) -> String {
    match problem.status {
        _ if is_no_page(problem) => "There is no page at this address.".to_owned(),
        429 => "Your address has sent too many requests in a short time.".to_owned(),
        500 => "The server has failed, and the failure has been recorded.".to_owned(),
        503 => "A service that this page needs does not answer.".to_owned(),
        _ => sentence(problem.detail),
    }
}

/// True when a browser asked for a page at an unknown address, or at a form's target. The edge's own text would not
/// help there.
fn is_no_page(problem: &Problem<'_>) -> bool {
    problem.again.is_some()
        && (problem.code == "method_not_allowed" || problem.detail == "there is no such route")
}

fn what_to_do(problem: &Problem<'_>) -> String {
    let written = "Go back with your browser: your entries are still there.";
    let then =
        if problem.again.is_some() { "load this page again" } else { "go back, and send it again" };
    match (problem.status, problem.wait.unwrap_or(1)) {
        (429 | 503, 0 | 1) => format!("Wait a moment, then {then}."),
        (429 | 503, seconds) => format!("Wait {seconds} seconds, then {then}."),
        (500, _) => format!("Wait a moment, then {then}. If it fails again, tell us."),
        (404 | 405, _) if problem.again.is_some() => {
            "Check the address, or go on from here.".to_owned()
        }
        _ => written.to_owned(),
    }
}

/// Turns an error's text into a sentence: errors begin with a small letter and have no full stop.
fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}
