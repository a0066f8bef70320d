//! `stack chaos <fault>`: a real fault in the running stack, and what becomes of it: the alert fires, the
//! incident opens with its severity and advice, the fault goes, the incident resolves.

#![expect(clippy::print_stdout, reason = "it is there to be read")]

mod fault;
mod silence;
mod traffic;
mod watch;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

pub use self::fault::Fault;
use self::fault::Injected;
use self::watch::{Watch, is_of};
use crate::board;
use crate::parts::{alertmanager, prometheus};
use crate::process::POLL;
use crate::settings::Settings;

/// The pace of the monitoring: for a drill the same rules have shorter windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Usual,
    Drill,
}

/// The longest time for an incident to open, and to resolve.
const OPENS: Duration = Duration::from_secs(60);
const RESOLVES: Duration = Duration::from_secs(150);

/// Everything from the fault to the end of the incident. Whatever goes wrong, the fault is taken away.
pub async fn run(settings: &Settings, fault: Fault) -> anyhow::Result<()> {
    let watch = Watch::new(settings).await?;
    set_pace(settings, Pace::Drill)?;
    println!("{}\n", fault.describe());
    let mut injected = None;
    let drill = drill(settings, &watch, fault, &mut injected);
    let result = tokio::select! {
        result = drill => result,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let removed = match injected {
        Some(injected) => injected.remove(settings, &watch).await,
        None => Ok(()),
    };
    set_pace(settings, Pace::Usual)?;
    result.and(removed)
}

async fn drill(
    settings: &Settings,
    watch: &Watch,
    fault: Fault,
    injected: &mut Option<Injected>,
) -> anyhow::Result<()> {
    let alerts = fault.alerts();
    calm(watch, alerts).await?;
    silence::lift(watch).await?;
    let known = watch.known().await?;
    let traffic = traffic::start(watch, fault).await?;
    let since = Instant::now();
    let say = |what: &str| println!("{:>7.1} s   {what}", since.elapsed().as_secs_f32());
    *injected = Some(fault.inject(settings, watch).await?);
    say("the fault is there");

    let missing = format!("no alert fires ({})", alerts.join(", "));
    let alert = until(OPENS, &missing, || watch.firing(alerts)).await?;
    say(&format!("alert {} fires for {}", alert.0, alert.1));
    let opens = || async {
        let mut new = watch.new_incidents(&known).await?;
        new.retain(|incident| is_of(incident, alerts));
        anyhow::Ok((!new.is_empty()).then_some(new))
    };
    let new = until(OPENS, "the alert fires, and no incident opens", opens).await?;
    let detected = since.elapsed();
    for incident in &new {
        say(&describe(incident));
    }
    print_advice(&new[0]);

    let gone = injected.take().context("nothing was injected")?;
    gone.remove(settings, watch).await?;
    say("the fault is gone");
    // What opened a moment later belongs to it, too.
    let over = || async {
        let all = watch.new_incidents(&known).await?;
        let resolved = all.iter().all(|incident| !incident["resolved_at"].is_null());
        anyhow::Ok(resolved.then_some(all))
    };
    let all = until(RESOLVES, "the incident does not resolve", over).await?;
    drop(traffic);
    silence::keep(watch, fault).await?;
    say(&format!("resolved: {}", numbers(&all)));
    println!("\n  MTTD {:>6.1} s   from the fault to the incident", detected.as_secs_f32());
    println!("  MTTR {:>6.1} s   from the fault to its end", since.elapsed().as_secs_f32());
    println!("\n  {}", watch.page(&new[0]));
    println!("  Its alerts are silent for ten minutes: the usual windows still see it.");
    Ok(())
}

/// Waits until Prometheus goes at the drill's pace, and nothing burns that would be taken for its doing.
async fn calm(watch: &Watch, alerts: &[&str]) -> anyhow::Result<()> {
    let hurries = || async { watch.hurries().await.map(|hurries| hurries.then_some(())) };
    until(OPENS, "Prometheus does not take the drill's rules", hurries).await?;
    let deadline = Instant::now() + OPENS;
    while let Some(burning) = watch.burning(alerts).await? {
        ensure!(Instant::now() < deadline, "{burning}");
        tokio::time::sleep(POLL * 10).await;
    }
    Ok(())
}

fn describe(incident: &Value) -> String {
    let text = |field: &str| incident[field].as_str().unwrap_or_default().to_owned();
    format!("incident {} opened, {}: {}", text("number"), text("severity"), text("title"))
}

fn print_advice(incident: &Value) {
    for advice in incident["advice"].as_array().into_iter().flatten() {
        let text = |field: &str| advice[field].as_str().unwrap_or_default().to_owned();
        println!("{:>7}     advice: {}. {}", "", text("repair"), text("why"));
    }
}

fn numbers(incidents: &[Value]) -> String {
    let numbers: Vec<_> = incidents.iter().filter_map(|i| i["number"].as_str()).collect();
    numbers.join(", ")
}

/// Polls until there is something, or says what there is not.
async fn until<T, F, Fut>(limit: Duration, what: &str, mut probe: F) -> anyhow::Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<Option<T>>>,
{
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe().await? {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "{what} within {} s", limit.as_secs());
        tokio::time::sleep(POLL * 10).await;
    }
}

/// Gives Prometheus and Alertmanager the configuration of this pace; both read it again.
fn set_pace(settings: &Settings, pace: Pace) -> anyhow::Result<()> {
    prometheus::configure(settings, pace)?;
    alertmanager::configure(settings, pace)?;
    let state =
        board::running(&settings.place).context("nothing is running; `make up` starts it")?;
    for part in state.parts {
        if let ("prometheus" | "alertmanager", Some(process)) = (part.name.as_str(), part.process) {
            process.signal(nix::sys::signal::Signal::SIGHUP);
        }
    }
    Ok(())
}
