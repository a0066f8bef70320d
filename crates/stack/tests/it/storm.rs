//! Alerts by the thousand, told twice and in any order, while what takes them dies again and again: the
//! incidents are the distinct causes, none lost, none doubled and none left open.
//!
//! A small one in the suite; `make campaign-incidents` runs the whole. The seed is printed.

use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use nix::sys::signal::Signal;
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use stack::chaos::Pace;
use stack::parts::{alertmanager, postgres};
use stack::settings::Settings;

use crate::bench::{Bench, within};

/// How much of it.
struct Size {
    alerts: usize,
    causes: usize,
    kills: [(&'static str, u32); 3],
}

fn size() -> Size {
    #[expect(clippy::disallowed_methods, reason = "a test reads how thorough to be")]
    let full = std::env::var("CAMPAIGN").is_ok_and(|how| how == "full");
    let kills = |each: u32, data| [("alertmanager", each), ("incidents", each), ("postgres", data)];
    match full {
        true => Size { alerts: 1000, causes: 250, kills: kills(20, 5) },
        false => Size { alerts: 120, causes: 30, kills: kills(2, 1) },
    }
}

/// Numbers that one can draw again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// What Prometheus would do: tell every alert again and again, until long after its end.
struct Teller {
    client: Client,
    url: String,
    starts_at: DateTime<Utc>,
    size: (usize, usize),
}

impl Teller {
    /// Tells the alerts of these causes in some order, some of them twice. Nobody may be there to hear it.
    async fn tell(&self, dice: &mut Dice, causes: Range<usize>, ends_at: DateTime<Utc>) {
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let alert = |n: usize| {
            json!({
                "labels": {
                    "alertname": format!("Storm{}", n % self.size.1), "service": "points",
                    "severity": "warning", "instance": format!("{n}"),
                },
                "annotations": { "summary": format!("Cause {}", n % self.size.1) },
                "startsAt": time(self.starts_at),
                "endsAt": time(ends_at),
            })
        };
        let all = (0..self.size.0).chain((0..self.size.0).step_by(7));
        let mut order: Vec<usize> = all.filter(|n| causes.contains(&(n % self.size.1))).collect();
        dice.shuffle(&mut order);
        for some in order.chunks(97) {
            let body: Vec<Value> = some.iter().map(|n| alert(*n)).collect();
            let _ = self.client.post(&self.url).json(&body).send().await;
        }
    }

    /// Tells all: the causes before `over` have ended, the others burn.
    async fn tell_all(&self, dice: &mut Dice, over: usize) {
        self.tell(dice, 0..over, self.starts_at + TimeDelta::seconds(5)).await;
        self.tell(dice, over..self.size.1, now() + TimeDelta::minutes(4)).await;
    }
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// Ours: the stack's own Prometheus finds things, too, when parts of it die.
const ALERTS: &str = "alert WHERE labels->>'alertname' LIKE 'Storm%'";
const INCIDENTS: &str = "incident WHERE title LIKE 'Cause %'";
const RESOLVED: &str = "incident WHERE title LIKE 'Cause %' AND resolved_at IS NOT NULL";
/// Whose end nobody told.
const FORGOTTEN: &str =
    "incident i WHERE title LIKE 'Cause %' AND EXISTS (SELECT FROM incident_event e
    WHERE e.incident_id = i.incident_id AND e.kind = 'alert_forgotten')";

async fn count(bench: &Bench, what: &str) -> i64 {
    let url = postgres::url(&bench.place, bench.ports.postgres, "incidents", "owner").unwrap();
    let Ok(mut connection) = PgConnection::connect(&url).await else { return -1 };
    let select = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {what}")));
    select.fetch_one(&mut connection).await.unwrap_or(-1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_alerts_among_crashes_is_one_incident_for_each_cause() {
    let size = size();
    let mut bench = Bench::new("storm").await;
    bench.set("STACK_RESTART_DELAY_MS", 100);
    // 250 deliveries at once meet a service that has just started: in a debug build on two cores its first
    // connections take longer than the 450 ms after which it says "try again".
    bench.set("DATABASE_ACQUIRE_TIMEOUT", "5s");
    bench.up().await;
    let settings = Settings {
        place: bench.place.clone(),
        ports: bench.ports.clone(),
        via: Vec::new(),
        restart_delay: Duration::from_millis(100),
    };
    alertmanager::configure(&settings, Pace::Drill).unwrap();
    bench.process("alertmanager").signal(Signal::SIGHUP);

    let seed = u64::from(std::process::id());
    let mut dice = Dice(seed);
    let kills = size.kills;
    let mut schedule: Vec<&str> = kills
        .iter()
        .flat_map(|(part, times)| std::iter::repeat_n(*part, *times as usize))
        .collect();
    dice.shuffle(&mut schedule);
    eprintln!("seed {seed}: {} alerts of {} causes, {kills:?}", size.alerts, size.causes);
    let teller = Teller {
        client: Client::builder().timeout(Duration::from_secs(5)).build().unwrap(),
        url: format!("http://127.0.0.1:{}/api/v2/alerts", bench.ports.alertmanager),
        starts_at: now() - TimeDelta::minutes(1),
        size: (size.alerts, size.causes),
    };

    let begun = Instant::now();
    for part in &schedule {
        teller.tell_all(&mut dice, 0).await;
        crash(&bench, part).await;
    }
    for (part, times) in kills {
        let restarts = bench.part(part).restarts;
        assert!(restarts >= times && times > 0, "{part} was killed {times} times, and {restarts}");
    }
    eprintln!("{} crashes survived after {:.0?}", schedule.len(), begun.elapsed());

    let alerts = i64::try_from(size.alerts).unwrap();
    let causes = i64::try_from(size.causes).unwrap();
    settle(&bench, ALERTS, alerts, async || teller.tell_all(&mut dice, 0).await).await;
    assert_eq!(count(&bench, INCIDENTS).await, causes, "one for each cause, and no other");
    assert_eq!(
        count(&bench, "(SELECT DISTINCT cause FROM incident WHERE title LIKE 'Cause %') AS c")
            .await,
        causes
    );
    assert_eq!(count(&bench, RESOLVED).await, 0, "all of them burn");
    eprintln!("{alerts} alerts are {causes} incidents after {:.0?}", begun.elapsed());

    // The end of the first half is told, by an Alertmanager that has told of them anew.
    let half = size.causes / 2;
    within(Duration::from_secs(60), "Alertmanager has told all causes", async || {
        teller.tell_all(&mut Dice(seed), 0).await;
        notified(&bench).await >= size.causes
    })
    .await;
    teller.tell_all(&mut dice, half).await;
    crash(&bench, "incidents").await;
    let ended = i64::try_from(half).unwrap();
    settle(&bench, RESOLVED, ended, async || teller.tell_all(&mut dice, half).await).await;
    let told = ended - count(&bench, FORGOTTEN).await;
    assert!(told > 0, "no end was told");
    eprintln!("{told} of {ended} were told to be over after {:.0?}", begun.elapsed());

    // The others end while Alertmanager is dead, which forgets that it has told anybody of them.
    crash(&bench, "alertmanager").await;
    teller.tell_all(&mut dice, size.causes).await;
    settle(&bench, RESOLVED, causes, async || teller.tell_all(&mut dice, size.causes).await).await;
    let untold = causes - told;
    assert_eq!(count(&bench, FORGOTTEN).await, untold, "nobody told of the others' end");
    assert_eq!(count(&bench, INCIDENTS).await, causes, "the end opens none");
    assert_eq!(count(&bench, ALERTS).await, alerts);
    eprintln!("{untold} were found to be over after {:.0?}", begun.elapsed());
    eprintln!("{causes} incidents of {alerts} alerts: none lost, none doubled, none left open");
    bench.ok(&["down"]).await;
    bench.assert_gone();
}

/// Kills a part, and waits for another in its place.
async fn crash(bench: &Bench, part: &str) {
    let victim = bench.process(part);
    victim.signal(Signal::SIGKILL);
    within(Duration::from_secs(60), "it is back", async || {
        bench.is_ready(part) && bench.part(part).process.is_some_and(|now| now != victim)
    })
    .await;
}

/// How often this Alertmanager has told somebody, since it started.
async fn notified(bench: &Bench) -> usize {
    let url = format!("http://127.0.0.1:{}/metrics", bench.ports.alertmanager);
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let count = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(' ').next_back()?.parse().ok()).unwrap_or(0.0)
    };
    let told = count("alertmanager_notifications_total{integration=\"webhook\"")
        - count("alertmanager_notifications_failed_total{integration=\"webhook\"");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let told = told.max(0.0) as usize;
    told
}

/// Goes on telling, as Prometheus does, until there are so many, and never more.
async fn settle(bench: &Bench, what: &str, wanted: i64, mut tell: impl AsyncFnMut()) {
    let deadline = Instant::now() + Duration::from_secs(240);
    loop {
        let found = count(bench, what).await;
        if found == wanted {
            return;
        }
        assert!(found < wanted && Instant::now() < deadline, "{found} of {wanted} {what}");
        tell().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
