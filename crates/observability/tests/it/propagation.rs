use axum::Router;
use axum::routing::get;
use http::HeaderMap;
use observability::{Carrier, Config, SpanKind, context};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{SpanId, TraceId};
use tracing::Instrument;

use crate::grpc::{self, balance_of};
use crate::support::{self, Client, telemetry, telemetry_with};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// An HTTP route that calls a gRPC service, and answers with its baggage.
async fn gateway() -> Client {
    let points = grpc::client(grpc::serve().await).await;
    let ask = async move || {
        context::set_user("ada");
        let call = points.clone().get_balance(balance_of("ada")).await.map(drop).is_ok();
        assert!(call);
        opentelemetry::Context::current().baggage().get("shop").unwrap().to_string()
    };
    let address = support::serve(Router::new().route("/balance", get(ask))).await;
    Client::connect(address).await
}

fn headers(flags: &str) -> String {
    format!(
        "traceparent: 00-{TRACE}-{CALLER}-{flags}\r\ntracestate: vendor=1\r\nbaggage: shop=7\r\n\
         x-request-id: r-1\r\nx-correlation-id: c-1\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn http_and_grpc_join_one_trace_with_the_right_parents() {
    let telemetry = telemetry();
    assert_eq!(gateway().await.get("/balance", &headers("01")).await.body, "7");

    let spans = telemetry.spans(3).await;
    assert_eq!(spans.len(), 3);
    let find = |kind: SpanKind, name: &str| {
        spans.iter().find(|span| span.span_kind == kind && span.name == name).unwrap()
    };
    let http = find(SpanKind::Server, "GET /balance");
    let client = find(SpanKind::Client, "points.v1.Points/GetBalance");
    let server = find(SpanKind::Server, "points.v1.Points/GetBalance");
    for span in [http, client, server] {
        assert_eq!(span.span_context.trace_id(), TraceId::from_hex(TRACE).unwrap());
        assert_eq!(span.span_context.trace_state().header(), "vendor=1");
    }
    assert_eq!(http.parent_span_id, SpanId::from_hex(CALLER).unwrap());
    assert_eq!(client.parent_span_id, http.span_context.span_id());
    assert_eq!(server.parent_span_id, client.span_context.span_id());
    let far = telemetry.log.line("balance asked").await;
    assert_eq!((&far["request_id"], &far["correlation_id"]), (&"r-1".into(), &"c-1".into()));
    assert_eq!(far["trace_id"], TRACE);
    assert_eq!(far["span_id"], server.span_context.span_id().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_is_not_sampled_travels_on_as_such() {
    let telemetry = telemetry();
    assert_eq!(gateway().await.get("/balance", &headers("00")).await.body, "7");
    let far = telemetry.log.line("call").await;
    assert_eq!((&far["trace_id"], &far["request_id"]), (&TRACE.into(), &"r-1".into()));
    assert_ne!(far["span_id"], telemetry.log.line("request").await["span_id"]);
    assert!(telemetry.spans(0).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outgoing_http_request_takes_the_context_along() {
    let _telemetry = telemetry_with(Config { trace_ratio: 0.0, ..Config::default() });
    let echo = async || {
        let mut headers = HeaderMap::new();
        observability::http::inject(&mut headers);
        format!("{headers:?}")
    };
    let address = support::serve(Router::new().route("/", get(echo))).await;
    let sent = Client::connect(address).await.get("/", &headers("00")).await.body;
    assert!(sent.contains(&format!("00-{TRACE}-")) && sent.contains("-00\""), "{sent}");
    for part in
        [r#""baggage": "shop=7""#, r#""x-request-id": "r-1""#, r#""tracestate": "vendor=1""#]
    {
        assert!(sent.contains(part), "{part} is not in {sent}");
    }
    assert!(!sent.contains(CALLER), "the parent is this service, not its caller");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_written_down_is_taken_up_again() {
    let telemetry = telemetry();
    let write = async || serde_json::to_string(&Carrier::current()).unwrap();
    let address = support::serve(Router::new().route("/", get(write))).await;
    let row = Client::connect(address).await.get("/", &headers("01")).await.body;

    let carrier: Carrier = serde_json::from_str(&row).unwrap();
    let later = async {
        // A tracing span belongs to the trace, too.
        async { tracing::info!("later") }.instrument(tracing::info_span!("inner")).await;
        Carrier::current()
    };
    let seen = carrier.scope("outbox.deliver booking.completed", SpanKind::Consumer, later).await;

    assert_eq!(
        (&*seen.request_id, &*seen.correlation_id, &*seen.baggage),
        ("r-1", "c-1", "shop=7")
    );
    let spans = telemetry.spans(3).await;
    let [request, inner, delivery] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(delivery.name, "outbox.deliver booking.completed");
    assert_eq!(delivery.parent_span_id, request.span_context.span_id());
    assert_eq!(inner.parent_span_id, delivery.span_context.span_id());
    assert_eq!(delivery.span_context.trace_id(), TraceId::from_hex(TRACE).unwrap());
    let line = telemetry.log.line("later").await;
    assert_eq!(line["request_id"], "r-1");
    assert_eq!(line["span_id"], inner.span_context.span_id().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_carrier_begins_a_new_story() {
    let telemetry = telemetry();
    let job = async || {
        let work = async { Carrier::current() };
        Carrier::default().scope("expire holds", SpanKind::Internal, work).await
    };
    let (first, second) = (job().await, job().await);
    assert_eq!(first.request_id.len(), 36);
    assert_ne!(first.request_id, second.request_id);
    assert_eq!(telemetry.spans(2).await.len(), 2);
    let malformed: Carrier =
        serde_json::from_str(r#"{"traceparent":"x","request_id":"a\nb"}"#).unwrap();
    let seen = malformed.scope("late", SpanKind::Consumer, async { Carrier::current() }).await;
    assert_eq!(seen.request_id.len(), 36);
}
