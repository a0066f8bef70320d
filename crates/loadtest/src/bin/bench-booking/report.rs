//! Prints the measured figures side by side.

use loadtest::closed_loop::Figures;

/// The figures, in the order of their measurement.
pub(crate) const KINDS: [&str; 6] = ["pgbench", "textbook", "statement", "book", "hold", "slots"];

#[derive(Default)]
pub(crate) struct Report(Vec<(i64, &'static str, Figures)>);

/// Half of pgbench, and at a million at most half as dear again as at ten thousand.
const SHARE: f64 = 0.5;
const DEARER: f64 = 1.5;
const SEARCH_MS: f64 = 10.0;

impl Report {
    pub(crate) fn add(&mut self, size: i64, what: &'static str, figures: Figures) {
        self.0.push((size, what, figures));
    }

    /// The middle round, by rate.
    fn median(&self, size: i64, what: &str) -> Option<Figures> {
        let mut rounds: Vec<_> = self
            .0
            .iter()
            .filter(|(s, w, _)| *s == size && *w == what)
            .map(|(_, _, f)| *f)
            .collect();
        rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        rounds.get(rounds.len() / 2).copied()
    }

    #[expect(clippy::print_stderr, reason = "standard output is the service's log")]
    pub(crate) fn show(&self, size: i64) {
        for what in KINDS {
            let Some(figures) = self.median(size, what) else { continue };
            eprintln!(
                "{size:>9} {what:<10} {:>8.0} /s   p50 {:>6.2} ms   p99 {:>6.2} ms{}",
                figures.per_second,
                figures.p50,
                figures.p99,
                if figures.failed == 0 {
                    String::new()
                } else {
                    format!("   {} failed", figures.failed)
                }
            );
        }
    }

    #[expect(clippy::print_stderr, reason = "standard output is the service's log")]
    pub(crate) fn judge(&self, sizes: &[i64]) {
        for &size in sizes {
            for (ours, theirs) in [
                ("book", "pgbench"),
                ("statement", "pgbench"),
                ("book", "textbook"),
                ("book", "statement"),
                ("hold", "textbook"),
            ] {
                let (Some(a), Some(b)) = (self.median(size, ours), self.median(size, theirs))
                else {
                    continue;
                };
                let ratio = a.per_second / b.per_second;
                let goal = match (ours, theirs) {
                    ("book", "pgbench") => format!("(goal ≥ {SHARE})"),
                    _ => String::new(),
                };
                eprintln!("{size:>9} {ours} / {theirs:<9} {ratio:>5.2} {goal}");
            }
        }
        for what in ["book", "hold", "pgbench", "slots"] {
            let (Some(few), Some(many)) = (self.median(10_000, what), self.median(1_000_000, what))
            else {
                continue;
            };
            let ratio = few.per_second / many.per_second;
            eprintln!(
                "{what:<8} cost at 1,000,000 / cost at 10,000 {ratio:>5.2} (goal ≤ {DEARER})"
            );
        }
        if let Some(slots) = self.median(1_000_000, "slots") {
            let p99 = slots.p99;
            eprintln!("slots at 1,000,000: p99 {p99:.2} ms (goal ≤ {SEARCH_MS})");
        }
    }
}
