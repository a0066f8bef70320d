//! A service is told to stop while it works.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use stack::demo::people;

use crate::bench::{Bench, within};

/// What the callers saw.
#[derive(Default)]
struct Tally {
    acknowledged: AtomicI64,
    /// No answer, or 503: it may have happened or not.
    unknown: AtomicI64,
    /// Any other answer.
    wrong: AtomicI64,
    stop: AtomicBool,
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_loses_nothing_that_was_acknowledged() {
    let bench = Bench::new("load").await;
    bench.up().await;
    let client = Client::new();
    let member = login(&bench, &client, "member@example.com").await;
    let operator = operator(&bench, &client, "points").await;

    let opened = client.post(bench.url("points", "/v1/accounts"));
    let opened = opened.bearer_auth(&member).header("idempotency-key", "open").json(&json!({}));
    let account: Value = opened.send().await.unwrap().json().await.unwrap();
    let id = account["account_id"].as_str().unwrap();
    let url = bench.url("points", &format!("/v1/accounts/{id}/earnings"));

    let tally = Arc::new(Tally::default());
    let callers: Vec<_> = (0..16)
        .map(|n| {
            let (url, operator, tally) = (url.clone(), operator.clone(), Arc::clone(&tally));
            tokio::spawn(earn_until_told(n, url, operator, tally))
        })
        .collect();
    for restart in 1..=3 {
        let goal = tally.acknowledged.load(Ordering::Relaxed) + 100;
        within(Duration::from_secs(20), "a hundred more", || async {
            tally.acknowledged.load(Ordering::Relaxed) >= goal
        })
        .await;
        bench.ok(&["restart", "points"]).await;
        eprintln!("restart {restart}: {} acknowledged", tally.acknowledged.load(Ordering::Relaxed));
    }
    tally.stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }

    let (acknowledged, unknown) =
        (tally.acknowledged.load(Ordering::Relaxed), tally.unknown.load(Ordering::Relaxed));
    let mine = client.get(bench.url("points", "/v1/accounts/me")).bearer_auth(&member);
    let mine: Value = mine.send().await.unwrap().json().await.unwrap();
    let earned = mine["earned"].as_i64().unwrap();
    eprintln!("{acknowledged} acknowledged, {unknown} unknown, {earned} in the ledger");
    assert_eq!(tally.wrong.load(Ordering::Relaxed), 0);
    assert!(acknowledged <= earned && earned <= acknowledged + unknown);
}

pub async fn login(bench: &Bench, client: &Client, email: &str) -> String {
    let password = people::password(&bench.place).unwrap();
    token(bench, client, json!({"email": email, "password": password})).await
}

/// The operator's, who is one at this service alone.
pub async fn operator(bench: &Bench, client: &Client, service: &str) -> String {
    let (email, password) = ("operator@example.com", people::password(&bench.place).unwrap());
    let body = json!({"email": email, "password": password, "audience": service});
    token(bench, client, body).await
}

async fn token(bench: &Bench, client: &Client, body: Value) -> String {
    let answer = client.post(bench.url("auth", "/v1/login")).json(&body).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// One point at a time, each under a key of its own.
async fn earn_until_told(caller: u32, url: String, token: String, tally: Arc<Tally>) {
    let client = Client::new();
    let merchant = "01a1fc30-0000-7000-8000-000000000000";
    let mut calls = 0;
    while !tally.stop.load(Ordering::Relaxed) {
        calls += 1;
        let request = client
            .post(&url)
            .bearer_auth(&token)
            .header("idempotency-key", format!("load-{caller}-{calls}"))
            .json(&json!({"points": 1, "merchant_id": merchant}));
        let counter = match request.send().await.map(|answer| answer.status().as_u16()) {
            Ok(201) => &tally.acknowledged,
            Ok(503) => &tally.unknown,
            // Between the old process and the new one there is nobody: not a call, and not a rush.
            Err(error) if error.is_connect() => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            Err(_) => &tally.unknown,
            Ok(other) => {
                eprintln!("answered {other}");
                &tally.wrong
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
