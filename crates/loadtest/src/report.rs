//! What was measured, side by side.

use crate::client::Figures;
use crate::points::ROUNDS;

#[derive(Default)]
pub(crate) struct Results(Vec<(String, Vec<Figures>)>);

impl Results {
    pub(crate) fn add(&mut self, name: String, figures: Figures) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(figures),
            None => self.0.push((name, vec![figures])),
        }
    }

    /// The middle round, by rate.
    fn median(&self, name: &str) -> Option<Figures> {
        let (_, rounds) = self.0.iter().find(|(known, _)| known.starts_with(name))?;
        let mut rounds = rounds.clone();
        rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        rounds.get(rounds.len() / 2).copied()
    }

    #[expect(clippy::print_stderr, reason = "standard output is the service's log")]
    pub(crate) fn print(&self) {
        eprintln!(
            "{:<36} {:>9} {:>8} {:>8}  (median of {ROUNDS})",
            "", "per s", "p50 ms", "p99 ms"
        );
        for (name, _) in &self.0 {
            let Some(figures) = self.median(name) else { continue };
            eprintln!(
                "{name:<36} {:>9.0} {:>8.2} {:>8.2}{}",
                figures.per_second,
                figures.p50,
                figures.p99,
                if figures.failed == 0 {
                    String::new()
                } else {
                    format!("  {} failed", figures.failed)
                }
            );
        }
        for (what, ours, theirs, goal) in [
            ("earn / textbook, at 32", "(c) earn over HTTP, 32", "(a) pgbench, textbook, 32", 2.0),
            (
                "earn / one statement, at 32",
                "(c) earn over HTTP, 32",
                "(b) pgbench, one statement, 32",
                1.0,
            ),
            ("hot account / all accounts", "(d)", "(c) earn over HTTP, 32", 0.8),
        ] {
            if let (Some(ours), Some(theirs)) = (self.median(ours), self.median(theirs)) {
                let ratio = ours.per_second / theirs.per_second;
                eprintln!("{what:<36} {ratio:>9.2} (goal ≥ {goal})");
            }
        }
        if let (Some(ours), Some(theirs)) =
            (self.median("(c) earn over HTTP, 1"), self.median("(a) pgbench, textbook, 1"))
        {
            eprintln!(
                "{:<36} {:>9.2} (goal ≤ 2)",
                "p50 at one connection / textbook",
                ours.p50 / theirs.p50
            );
        }
    }
}
