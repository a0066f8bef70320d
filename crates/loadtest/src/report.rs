//! Prints the measured figures side by side.

#![expect(clippy::print_stdout, reason = "the report is what was asked for")]

use crate::steps::Metrics;
use loadtest::closed_loop::Figures;

/// Seconds in all, or microseconds for each request.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) service: f64,
    pub(crate) postgres: f64,
    pub(crate) redis: f64,
}

impl Cpu {
    /// In microseconds for each request.
    pub(crate) fn since(self, before: Self, requests: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let each = |now: f64, then: f64| (now - then) * 1e6 / requests as f64;
        Self {
            service: each(self.service, before.service),
            postgres: each(self.postgres, before.postgres),
            redis: each(self.redis, before.redis),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) figures: Figures,
    pub(crate) cpu: Cpu,
    /// The service's, before and after.
    pub(crate) metrics: (Metrics, Metrics),
}

#[derive(Default)]
pub(crate) struct Results(Vec<(String, Vec<Row>)>);

impl Results {
    pub(crate) fn add(&mut self, name: String, row: Row) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(row),
            None => self.0.push((name, vec![row])),
        }
    }

    /// The middle round, by rate.
    pub(crate) fn median(&self, name: &str) -> Option<Row> {
        let (_, rounds) = self.0.iter().find(|(known, _)| known == name)?;
        let mut rounds = rounds.clone();
        rounds.sort_by(|a, b| a.figures.per_second.total_cmp(&b.figures.per_second));
        rounds.get(rounds.len() / 2).cloned()
    }

    pub(crate) fn print(&self, rounds: usize) {
        println!("{:<34} {:>22} {:>26}", "", "", "CPU µs per request");
        println!(
            "{:<34} {:>8} {:>7} {:>7} {:>8} {:>9} {:>6}",
            "median of rounds", "per s", "p50 ms", "p99 ms", "service", "postgres", "redis"
        );
        for (name, _) in &self.0 {
            let Some(Row { figures, cpu, .. }) = self.median(name) else { continue };
            println!(
                "{name:<34} {:>8.0} {:>7.2} {:>7.2} {:>8.0} {:>9.0} {:>6.0}{}",
                figures.per_second,
                figures.p50,
                figures.p99,
                cpu.service,
                cpu.postgres,
                cpu.redis,
                if figures.failed == 0 {
                    String::new()
                } else {
                    format!("  {} failed", figures.failed)
                }
            );
        }
        println!("({rounds} rounds, in turns)");
    }

    /// The median of the rounds' ratios would hide less; the ratio of the medians is what one expects.
    pub(crate) fn compare(&self, what: &str, ours: &str, theirs: &str, goal: f64) {
        if let (Some(ours), Some(theirs)) = (self.median(ours), self.median(theirs)) {
            let ratio = ours.figures.per_second / theirs.figures.per_second;
            println!("{what:<34} {ratio:>8.2}  goal ≥ {goal}: {}", verdict(ratio >= goal));
        }
    }

    pub(crate) fn compare_p50(&self, what: &str, ours: &str, theirs: &str, goal: f64) {
        if let (Some(ours), Some(theirs)) = (self.median(ours), self.median(theirs)) {
            let ratio = ours.figures.p50 / theirs.figures.p50;
            println!("{what:<34} {ratio:>8.2}  goal ≤ {goal}: {}", verdict(ratio <= goal));
        }
    }

    /// Prints the time of each step of a batch.
    pub(crate) fn print_steps(&self, name: &str) {
        let Some(Row { metrics: (before, after), .. }) = self.median(name) else { return };
        println!("\n{name}: {:.1} commands in a batch; statements:", after.batch(&before));
        for (operation, count, millis) in after.steps(&before) {
            println!("    {operation:<30} {count:>8.0} × {millis:>6.2} ms");
        }
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}
