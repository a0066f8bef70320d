//! A member's story, told over the public APIs, as one trace.

#![expect(clippy::print_stdout, reason = "it is there to be read")]

mod call;
pub mod people;

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use observability::{Config, Sinks, SpanKind, context};
use serde_json::{Value, json};

use self::call::{Story, text};
use crate::process::POLL;
use crate::settings::Settings;

/// Tells the story to its end, or says where it went wrong.
pub async fn run(settings: &Settings) -> anyhow::Result<()> {
    let password = people::password(&settings.place)?;
    let config = Config {
        otlp_endpoint: format!("http://127.0.0.1:{}", settings.ports.otlp),
        ..Config::default()
    };
    // Its spans are wanted, its log is not: the story is the output.
    let sinks = Sinks { log: Some(Box::new(std::io::sink())), ..Sinks::default() };
    let telemetry = observability::init_with("demo", env!("CARGO_PKG_VERSION"), &config, sinks)?;

    let begun = Instant::now();
    let story = Story::new(settings);
    let (result, trace) = context::span("a member's story", SpanKind::Internal, async {
        (tell(&story, &password).await, context::trace_id())
    })
    .await;
    // Sends the last spans.
    tokio::task::spawn_blocking(|| drop(telemetry)).await?;
    result.with_context(|| format!("the story ended at step {}", story.steps()))?;

    let trace = trace.context("the story has no trace")?;
    println!("\nThe end, after {:.1} s. All of it is one trace:", begun.elapsed().as_secs_f32());
    println!("  http://127.0.0.1:{}/trace/{trace}", settings.ports.jaeger);
    Ok(())
}

async fn tell(story: &Story, password: &str) -> anyhow::Result<()> {
    let nobody = "";
    let email = format!("member-{:08x}@example.com", rand::random::<u32>());

    story.title("A member signs up and logs in");
    let body = json!({"email": email, "password": password, "display_name": "New Member"});
    story.post("auth", "/v1/register", nobody, &body, 202).await?;
    let body = json!({"email": email, "password": password});
    let session = story.post("auth", "/v1/login", nobody, &body, 200).await?;
    let member = text(&session.body, "access_token")?;

    story.title("A merchant opens a calendar");
    let body = json!({"email": people::MERCHANT.email, "password": password});
    let session = story.post("auth", "/v1/login", nobody, &body, 200).await?;
    let merchant = text(&session.body, "access_token")?;
    let body = json!({"name": "Salon Sakura", "time_zone": "Asia/Tokyo"});
    let salon = story.post("booking", "/v1/merchants", &merchant, &body, 201).await?;
    let salon = text(&salon.body, "merchant_id")?;
    let path = format!("/v1/merchants/{salon}/staff");
    let staff = story.post("booking", &path, &merchant, &json!({"name": "Yuki"}), 201).await?;
    let staff = text(&staff.body, "staff_id")?;
    let body = json!({"name": "Cut and color", "duration_minutes": 60, "price_minor": 8800});
    let path = format!("/v1/merchants/{salon}/services");
    let service = story.post("booking", &path, &merchant, &body, 201).await?;
    let service = text(&service.body, "service_id")?;
    let path = format!("/v1/merchants/{salon}/staff/{staff}");
    let body = json!({"service_ids": [service]});
    story.put("booking", &format!("{path}/services"), &merchant, &body).await?;
    let day = |day| json!({"weekday": day, "opens": "09:00", "closes": "18:00"});
    let body = json!({"hours": (1..=7).map(day).collect::<Vec<_>>()});
    story.put("booking", &format!("{path}/hours"), &merchant, &body).await?;

    story.title("The member books an hour, and nobody can book into it");
    let slot = slot(&salon, &staff, &service);
    let booking = story.post("booking", "/v1/bookings", &member, &slot, 201).await?;
    let booking = text(&booking.body, "booking_id")?;
    story.post("booking", "/v1/bookings", &merchant, &slot, 409).await?;

    story.title("The merchant completes it; said twice, it happens once");
    let path = format!("/v1/bookings/{booking}/complete");
    let key = &format!("visit-{booking}");
    let first = story.post_with("booking", &path, &merchant, &json!({}), 200, key).await?;
    let completed = Instant::now();
    let again = story.post_with("booking", &path, &merchant, &json!({}), 200, key).await?;
    ensure!(again.replayed && again.body == first.body, "the repeat was not the first answer");

    story.title("The points arrive, through the outbox and over gRPC");
    wait_for_points(story, &member).await?;
    println!("     {} ms after the completion", completed.elapsed().as_millis());
    story.get("points", "/v1/accounts/me", &member).await?;
    story.get("points", "/v1/accounts/me/history", &member).await?;

    story.title("The next hour is held, and confirmed with points that pay a part of it");
    let next = again_a_day_later(&slot)?;
    let held = story.post("booking", "/v1/holds", &member, &next, 201).await?;
    let path = format!("/v1/bookings/{}/confirm", text(&held.body, "booking_id")?);
    story.post("booking", &path, &member, &json!({"points": 50}), 200).await?;
    story.get("points", "/v1/accounts/me", &member).await?;
    Ok(())
}

/// An hour from ten o'clock in Tokyo, the day after tomorrow.
fn slot(merchant: &str, staff: &str, service: &str) -> Value {
    let today = DateTime::<Utc>::from(SystemTime::now()).date_naive();
    let start = today.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(2 * 24 + 1);
    json!({
        "merchant_id": merchant,
        "staff_id": staff,
        "starts_at": start,
        "ends_at": start + TimeDelta::hours(1),
        "service_id": service,
    })
}

/// The same, but only until the member decides.
fn again_a_day_later(slot: &Value) -> anyhow::Result<Value> {
    let start: DateTime<Utc> = text(slot, "starts_at")?.parse()?;
    let mut slot = slot.clone();
    slot["starts_at"] = json!(start + TimeDelta::days(1));
    slot.as_object_mut().context("a slot is an object")?.remove("ends_at");
    Ok(slot)
}

/// Asks outside of the trace, which the many questions would only hide.
async fn wait_for_points(story: &Story, member: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let account = story.peek("points", "/v1/accounts/me", member).await?;
        if account.get("available").and_then(Value::as_i64).is_some_and(|points| points > 0) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no points after 15 s: {account}");
        tokio::time::sleep(POLL).await;
    }
}
