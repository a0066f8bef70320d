//! Keeps parts running: a crashed one is reported and started again, a little later each time.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::board::{self, Board, Condition, Phase};
use crate::place::Place;
use crate::process::{Identity, Program};
use crate::ready::Probe;
use crate::versions;

/// A part to keep running.
#[derive(Clone, Debug)]
pub struct Part {
    pub name: String,
    pub program: Program,
    pub probe: Probe,
    /// Asks it to end in good order.
    pub stop: Signal,
    /// The longest time for that end.
    pub grace: Duration,
    /// The address that people use.
    pub endpoint: String,
}

/// The longest time for the first start, further attempts included.
const PATIENCE: Duration = Duration::from_secs(30);
/// Exit codes by which our programs say that another attempt is of no use: usage, data, configuration.
const REFUSALS: [i32; 3] = [64, 65, 78];
/// A part that ran for this long and then crashed begins with the first delay again.
const STEADY: Duration = Duration::from_secs(10);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Order {
    Restart,
    Stop,
}

/// The parts that are kept running, in the order of their start.
pub struct Supervisor {
    board: Board,
    place: Place,
    delay: Duration,
    kept: Vec<Kept>,
}

struct Kept {
    part: Part,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
}

impl Supervisor {
    pub fn new(board: Board, place: Place, delay: Duration) -> Self {
        Self { board, place, delay, kept: Vec::new() }
    }

    /// Starts these together; done when all are ready, or when the first has failed.
    pub async fn start(&mut self, parts: Vec<Part>) -> anyhow::Result<()> {
        let mut firsts = Vec::new();
        for part in parts {
            let entry = board::Part {
                name: part.name.clone(),
                process: None,
                condition: Condition::Starting,
                since: board::now(),
                restarts: 0,
                last_end: None,
                endpoint: part.endpoint.clone(),
                probe: part.probe.clone(),
            };
            self.board.update(|state| state.parts.push(entry))?;
            let (orders, inbox) = mpsc::channel(4);
            let (first, began) = oneshot::channel();
            let keeper = Keeper {
                part: part.clone(),
                board: self.board.clone(),
                place: self.place.clone(),
                first_delay: self.delay,
                first: Some(first),
            };
            let task = tokio::spawn(keeper.run(inbox));
            self.kept.push(Kept { part, orders, task });
            firsts.push(async { began.await.context("the keeper is gone")? });
        }
        futures::future::try_join_all(firsts).await?;
        Ok(())
    }

    /// Takes over what another one keeps running.
    pub fn adopt(&mut self, other: Self) {
        self.kept.extend(other.kept);
    }

    /// Ends a part in good order and starts it again.
    pub async fn restart(&self, name: &str) {
        if let Some(kept) = self.kept.iter().find(|k| k.part.name == name) {
            let _ = kept.orders.send(Order::Restart).await;
        }
    }

    /// Ends everything, the last started first; parts that were started together end together.
    pub async fn stop(&mut self, together: &[&[&str]]) {
        for group in together.iter().rev() {
            let (now, rest): (Vec<_>, Vec<_>) =
                self.kept.drain(..).partition(|k| group.contains(&k.part.name.as_str()));
            self.kept = rest;
            for kept in &now {
                let _ = kept.orders.send(Order::Stop).await;
            }
            for kept in now {
                let begun = Instant::now();
                let _ = kept.task.await;
                if self.board.read().phase == Phase::Stopping {
                    let _ = self.board.say(&kept.part.name, "stopped", begun.elapsed());
                }
            }
        }
    }
}

/// Keeps one part running.
struct Keeper {
    part: Part,
    board: Board,
    place: Place,
    first_delay: Duration,
    /// Hears how the first start went.
    first: Option<oneshot::Sender<anyhow::Result<()>>>,
}

enum End {
    ByItself(ExitStatus),
    Ordered(Order),
    NeverReady,
}

impl Keeper {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut delay = self.first_delay;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let begun = Instant::now();
            if let Some(program) = versions::chosen(&self.place, &self.part.name) {
                self.part.program.path = program;
            }
            let end = match self.part.program.start(&self.place.log(&self.part.name)) {
                Ok(child) => self.attend(child, &mut orders).await,
                Err(error) => Err(error),
            };
            let mut hopeless = Instant::now() > deadline;
            let why = match end {
                Ok(End::Ordered(Order::Stop)) => return self.note(Condition::Stopped, None),
                Ok(End::Ordered(Order::Restart)) => continue,
                Ok(End::ByItself(status)) => {
                    hopeless |= status.code().is_some_and(|code| REFUSALS.contains(&code));
                    describe(status)
                }
                Ok(End::NeverReady) => format!("not ready after {} s", PATIENCE.as_secs()),
                Err(error) => {
                    hopeless = true;
                    format!("{error:#}")
                }
            };
            if let Some(first) = self.first.take_if(|_| hopeless) {
                let _ = first.send(self.explain(&why));
                return self.note(Condition::Stopped, Some(why));
            }
            self.note(Condition::Crashed, Some(why));
            delay = if begun.elapsed() > STEADY { self.first_delay } else { delay };
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                order = orders.recv() => if !matches!(order, Some(Order::Restart)) {
                    return self.note(Condition::Stopped, None);
                }
            }
            delay = (delay * 2).min(LONGEST_DELAY);
            let _ = self.board.part(&self.part.name, |part| part.restarts += 1);
        }
    }

    /// From the start of the process to its end.
    async fn attend(
        &mut self,
        mut child: Child,
        orders: &mut mpsc::Receiver<Order>,
    ) -> anyhow::Result<End> {
        let begun = Instant::now();
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let process = pid.and_then(Identity::of);
        self.board.part(&self.part.name, |part| {
            part.process = process;
            part.condition = Condition::Starting;
            part.since = board::now();
        })?;
        let (part, place) = (self.part.clone(), self.place.clone());
        let readiness = async {
            if !part.probe.holds_within(&place, PATIENCE).await {
                return End::NeverReady;
            }
            self.note(Condition::Ready, None);
            if let Some(first) = self.first.take() {
                let _ = self.board.say(&part.name, &part.endpoint, begun.elapsed());
                let _ = first.send(Ok(()));
            }
            std::future::pending().await
        };
        let end = tokio::select! {
            status = child.wait() => End::ByItself(status?),
            order = orders.recv() => End::Ordered(order.unwrap_or(Order::Stop)),
            end = readiness => end,
        };
        if let (Some(process), End::Ordered(_) | End::NeverReady) = (process, &end) {
            // `wait` beside it: a dead child that nobody waits for would never be gone.
            let ended = process.end(self.part.stop, self.part.grace);
            let (_, status) = tokio::join!(ended, child.wait());
            status?;
        }
        Ok(end)
    }

    fn note(&self, condition: Condition, why: Option<String>) {
        let _ = self.board.part(&self.part.name, |part| {
            part.condition = condition;
            if condition != Condition::Ready {
                part.process = None;
                part.since = board::now();
            }
            part.last_end = why.or(part.last_end.take());
        });
    }

    fn explain(&self, why: &str) -> anyhow::Result<()> {
        let log = self.place.log(&self.part.name);
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(12).collect();
        // A line may hold a whole backtrace.
        let short = |line: &str| format!("    {}", line.chars().take(400).collect::<String>());
        let tail: Vec<_> = lines.into_iter().rev().map(short).collect();
        bail!(
            "{} did not start: {why}\n{}\n  all of it: {}",
            self.part.name,
            tail.join("\n"),
            log.display()
        )
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal().map(Signal::try_from)) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(Ok(signal))) => format!("killed by {signal}"),
        _ => "ended".to_owned(),
    }
}
