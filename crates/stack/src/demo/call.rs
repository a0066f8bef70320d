//! One call of the story: made, timed, traced and printed.

#![expect(clippy::print_stdout, reason = "it is there to be read")]

use std::cell::Cell;
use std::time::Instant;

use anyhow::{Context, ensure};
use observability::{Carrier, SpanKind, context};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use crate::ports::Ports;
use crate::settings::Settings;

/// The storyteller.
pub(super) struct Story {
    client: Client,
    ports: Ports,
    steps: Cell<u32>,
}

pub(super) struct Answer {
    pub(super) body: Value,
    /// It was the first answer to a repeated command.
    pub(super) replayed: bool,
}

impl Story {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { client: Client::new(), ports: settings.ports.clone(), steps: Cell::new(0) }
    }

    pub(super) fn steps(&self) -> u32 {
        self.steps.get()
    }

    pub(super) fn title(&self, title: &str) {
        self.steps.set(self.steps.get() + 1);
        println!("\n{:>3}. {title}", self.steps.get());
    }

    /// A command of its own.
    pub(super) async fn post(
        &self,
        service: &str,
        path: &str,
        token: &str,
        body: &Value,
        expected: u16,
    ) -> anyhow::Result<Answer> {
        let key = format!("{:032x}", rand::random::<u128>());
        self.post_with(service, path, token, body, expected, &key).await
    }

    /// A command that may be a repetition.
    pub(super) async fn post_with(
        &self,
        service: &str,
        path: &str,
        token: &str,
        body: &Value,
        expected: u16,
        key: &str,
    ) -> anyhow::Result<Answer> {
        let request = self.request(Method::POST, service, path, token);
        let request = request.header("idempotency-key", key).json(body);
        self.send("POST", service, path, request, expected).await
    }

    /// Replaces something; the answer is 200.
    pub(super) async fn put(
        &self,
        service: &str,
        path: &str,
        token: &str,
        body: &Value,
    ) -> anyhow::Result<Answer> {
        let request = self.request(Method::PUT, service, path, token).json(body);
        self.send("PUT", service, path, request, 200).await
    }

    pub(super) async fn get(
        &self,
        service: &str,
        path: &str,
        token: &str,
    ) -> anyhow::Result<Answer> {
        let request = self.request(Method::GET, service, path, token);
        self.send("GET", service, path, request, 200).await
    }

    /// Asks without a word, and outside of the trace.
    pub(super) async fn peek(
        &self,
        service: &str,
        path: &str,
        token: &str,
    ) -> anyhow::Result<Value> {
        let answer = self.request(Method::GET, service, path, token).send().await?;
        Ok(answer.json().await?)
    }

    fn request(&self, method: Method, service: &str, path: &str, token: &str) -> RequestBuilder {
        let url = format!("http://127.0.0.1:{}{path}", self.ports.service(service).http);
        let request = self.client.request(method, url);
        if token.is_empty() { request } else { request.bearer_auth(token) }
    }

    async fn send(
        &self,
        method: &str,
        service: &str,
        path: &str,
        request: RequestBuilder,
        expected: u16,
    ) -> anyhow::Result<Answer> {
        let begun = Instant::now();
        let response = context::span(format!("{method} {path}"), SpanKind::Client, async {
            request.header("traceparent", Carrier::current().traceparent).send().await
        });
        let response = response.await.with_context(|| format!("{service} does not answer"))?;
        let took = begun.elapsed().as_millis();
        let status = response.status().as_u16();
        let replayed = response.headers().contains_key("idempotency-replayed");
        let body: Value = response.json().await.context("the answer is not JSON")?;

        let note = if replayed { ", replayed" } else { "" };
        println!("     {method} {service} {path}");
        println!("       {status} in {took} ms{note}   {}", key_fields(&body));
        ensure!(status == expected, "expected {expected}, and the whole answer is {body}");
        Ok(Answer { body, replayed })
    }
}

/// A field that must be there.
pub(super) fn text(body: &Value, field: &str) -> anyhow::Result<String> {
    let value = body.get(field).and_then(Value::as_str);
    value.map(str::to_owned).with_context(|| format!("no `{field}` in {body}"))
}

/// Formats the fields of an answer that are worth reading, on one line, without its tokens.
fn key_fields(body: &Value) -> String {
    const FIELDS: [&str; 8] =
        ["status", "code", "detail", "name", "price_minor", "points_paid", "earned", "available"];
    // The id of what this is about: a booking also names its merchant and its member.
    const IDS: [&str; 4] = ["booking_id", "staff_id", "merchant_id", "member_id"];
    let show = |of: &Value, fields: &[&str]| {
        let there = fields.iter().filter_map(|field| Some((field, of.get(field)?)));
        there.map(|(field, value)| format!("{field}: {}", plain(value))).collect::<Vec<_>>()
    };
    let mut shown = show(body, &FIELDS);
    shown.extend(show(body, &IDS).into_iter().next());
    let items = body.get("items").and_then(Value::as_array);
    for item in items.into_iter().flatten() {
        shown.extend(show(item, &["kind", "amount", "balance"]));
    }
    shown.join(", ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
