//! The demo's trace, read back from the Jaeger API.

use std::time::Duration;

use serde_json::Value;

use crate::bench::{Bench, within};

struct Span {
    service: String,
    name: String,
    id: String,
    parent: Option<String>,
}

/// The requests of the story that a trace of it must show. A service sends its spans in batches, so that one of them
/// may come after the others.
const CALLED: [(&str, &str); 5] = [
    ("auth", "POST /v1/register"),
    ("auth", "POST /v1/login"),
    ("booking", "POST /v1/bookings"),
    ("booking", "POST /v1/bookings/{booking_id}/complete"),
    ("points", "GET /v1/accounts/me"),
];

/// The trace that the story ends with joins auth, points and booking, each span below its caller's.
pub async fn joins_three_services(bench: &Bench, story: &str) {
    let link = story.lines().last().unwrap().trim();
    let page = reqwest::get(link).await.unwrap();
    assert_eq!(page.status(), 200, "{link}");
    assert!(page.text().await.unwrap().contains("Jaeger UI"));

    let id = link.rsplit('/').next().unwrap();
    let url = format!("http://127.0.0.1:{}/api/traces/{id}", bench.ports.jaeger);
    // The services send their spans a moment later.
    within(Duration::from_secs(10), "the whole trace is there", || async {
        let spans = spans(&url).await;
        spans.iter().all(|span| span.parent.is_none() || parent(&spans, span).is_some())
            && CALLED.iter().all(|(service, name)| find(&spans, service, name).is_some())
            && find(&spans, "points", "points.v1.Points/Earn").is_some()
    })
    .await;

    let spans = spans(&url).await;
    let roots: Vec<_> = spans.iter().filter(|span| span.parent.is_none()).collect();
    assert_eq!(roots.len(), 1);
    assert_eq!((&*roots[0].service, &*roots[0].name), ("demo", "a member's story"));

    // Over HTTP: what the member called, below the call.
    for (service, name) in CALLED {
        let server = find(&spans, service, name).unwrap();
        assert_eq!(parent(&spans, server).unwrap().service, "demo", "{name}");
    }

    // Through the outbox and over gRPC: earn in points, below the call of booking, below the delivery,
    // below the request that completed the booking.
    let earn = find(&spans, "points", "points.v1.Points/Earn").unwrap();
    let call = parent(&spans, earn).unwrap();
    assert_eq!((&*call.service, &*call.name), ("booking", "points.v1.Points/Earn"));
    let delivery = parent(&spans, call).unwrap();
    assert_eq!((&*delivery.service, &*delivery.name), ("booking", "deliver booking.completed"));
    let request = parent(&spans, delivery).unwrap();
    assert_eq!(request.name, "POST /v1/bookings/{booking_id}/complete");
}

async fn spans(url: &str) -> Vec<Span> {
    let answer = reqwest::get(url).await.unwrap();
    let Ok(body) = answer.json::<Value>().await else { return Vec::new() };
    let trace = &body["data"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let span = |span: &Value| {
        let process = &trace["processes"][text(&span["processID"])];
        let references = span["references"].as_array().into_iter().flatten();
        let parent = references.into_iter().find(|reference| reference["refType"] == "CHILD_OF");
        Span {
            service: text(&process["serviceName"]),
            name: text(&span["operationName"]),
            id: text(&span["spanID"]),
            parent: parent.map(|parent| text(&parent["spanID"])),
        }
    };
    trace["spans"].as_array().into_iter().flatten().map(span).collect()
}

fn parent<'a>(spans: &'a [Span], span: &Span) -> Option<&'a Span> {
    spans.iter().find(|other| Some(&other.id) == span.parent.as_ref())
}

fn find<'a>(spans: &'a [Span], service: &str, name: &str) -> Option<&'a Span> {
    spans.iter().find(|span| span.service == service && span.name == name)
}
