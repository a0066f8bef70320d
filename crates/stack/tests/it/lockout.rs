//! What was counted against a guesser, and who was thrown out, survives every crash.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use reqwest::Client;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use stack::demo::people;

use crate::bench::{Bench, within};

const EMAIL: &str = "member@example.com";

#[tokio::test(flavor = "multi_thread")]
async fn locks_and_revocations_survive_the_death_of_redis_postgres_and_auth() {
    let mut bench = Bench::new("lockout").await;
    bench.set("STACK_RESTART_DELAY_MS", 200);
    bench.up().await;
    let client = Client::new();
    let right = people::password(&bench.place).unwrap();

    // A copied refresh token: two generations back, so that the session ends whatever the time.
    let (status, stolen) = login(&bench, &client, &right).await;
    assert_eq!(status, 200, "{stolen}");
    let second = refresh(&bench, &client, &stolen).await.1;
    let third = refresh(&bench, &client, &second).await.1;
    let (status, reused) = refresh(&bench, &client, &stolen).await;
    assert_eq!((status, &reused["code"]), (401, &json!("refresh_token_reused")));

    for _ in 0..5 {
        let (status, wrong) = login(&bench, &client, "tr0ub4dor&3").await;
        assert_eq!((status, &wrong["code"]), (401, &json!("invalid_credentials")));
    }
    assert_locked(&bench, &client, &right).await;

    for victim in ["redis", "postgres", "auth"] {
        let before = bench.process(victim);
        before.signal(Signal::SIGKILL);
        within(Duration::from_secs(30), "it is back", || async {
            bench.part(victim).process.is_some_and(|now| now != before) && bench.is_ready(victim)
        })
        .await;
        within(Duration::from_secs(30), "auth is ready", || async {
            bench.ready("auth").await.0 == 200
        })
        .await;
        assert_locked(&bench, &client, &right).await;
        let (status, dead) = refresh(&bench, &client, &third).await;
        assert_eq!((status, &dead["code"]), (401, &json!("session_revoked")), "after {victim}");
        for service in ["auth", "points"] {
            let path = if service == "auth" { "/v1/me" } else { "/v1/accounts/me" };
            // Redis is back empty, and auth says again what it had said.
            within(Duration::from_secs(5), "its access token is refused", || async {
                let call = client.get(bench.url(service, path));
                let token = third["access_token"].as_str().unwrap();
                call.bearer_auth(token).send().await.is_ok_and(|answer| answer.status() == 401)
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_lock_operators_out_of_the_console() {
    let bench = Bench::new("console").await;
    bench.up().await;
    let right = people::password(&bench.place).unwrap();
    // Another network than 127.0.0.0/24, and still this machine.
    let at = |last| IpAddr::V4(Ipv4Addr::new(127, 0, 9, last));
    let stranger = Client::builder().local_address(at(1)).build().unwrap();
    let operator = Client::builder().redirect(Policy::none()).build().unwrap();

    let (status, device) = sign_in(&bench, &operator, &right, "").await;
    assert_eq!(status, 303);
    assert!(device.starts_with("__Host-device="), "{device}");
    for _ in 0..5 {
        assert_eq!(sign_in(&bench, &stranger, "tr0ub4dor&3", "").await.0, 401);
    }
    assert_eq!(sign_in(&bench, &stranger, "tr0ub4dor&3", "").await.0, 429);
    // With a new browser: what the stranger used up is the stranger's.
    assert_eq!(sign_in(&bench, &operator, &right, "").await.0, 303);

    // And one who sits in the same network.
    let neighbor = Client::builder().build().unwrap();
    for _ in 0..5 {
        assert_eq!(sign_in(&bench, &neighbor, "tr0ub4dor&3", "").await.0, 401);
    }
    assert_eq!(sign_in(&bench, &operator, &right, "").await.0, 429);
    assert_eq!(sign_in(&bench, &operator, &right, &device).await.0, 303);
}

/// At the console, as the operator: the status, and what this device is to be known by.
async fn sign_in(bench: &Bench, client: &Client, password: &str, device: &str) -> (u16, String) {
    let form = format!("email=operator%40example.com&password={}", password.replace('&', "%26"));
    let call = client.post(bench.url("incidents", "/console/login")).body(form);
    let call = call.header("content-type", "application/x-www-form-urlencoded");
    let call = call.header("sec-fetch-site", "same-origin").header("cookie", device);
    let answer = call.send().await.unwrap();
    let set = answer.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let mut pairs = set.filter_map(|value| value.split(';').next());
    let device = pairs.find(|value| value.starts_with("__Host-device="));
    (answer.status().as_u16(), device.unwrap_or_default().to_owned())
}

/// A 503 says nothing of the lock: a loaded machine refuses before it looks.
async fn assert_locked(bench: &Bench, client: &Client, right: &str) {
    let begun = Instant::now();
    let (status, locked) = loop {
        let (status, answer) = login(bench, client, right).await;
        if status != 503 || begun.elapsed() > Duration::from_secs(20) {
            break (status, answer);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!((status, &locked["code"]), (429, &json!("too_many_attempts")), "{locked}");
}

async fn login(bench: &Bench, client: &Client, password: &str) -> (u16, Value) {
    let body = json!({ "email": EMAIL, "password": password });
    post(client, bench.url("auth", "/v1/login"), body).await
}

async fn refresh(bench: &Bench, client: &Client, session: &Value) -> (u16, Value) {
    let body = json!({ "refresh_token": session["refresh_token"] });
    post(client, bench.url("auth", "/v1/refresh"), body).await
}

async fn post(client: &Client, url: String, body: Value) -> (u16, Value) {
    let answer = client.post(url).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}
