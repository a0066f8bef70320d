//! Times the steps of a batch by the service's own metrics, before and after.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The sums and counts of histograms, by their series.
#[derive(Clone, Default)]
pub(crate) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    pub(crate) async fn read(admin: SocketAddr) -> anyhow::Result<Self> {
        let mut socket = TcpStream::connect(admin).await?;
        socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
        let mut text = String::new();
        socket.read_to_string(&mut text).await?;
        let (_, body) = text.split_once("\r\n\r\n").context("an answer without a body")?;
        let lines = body.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        Ok(Self(values.collect()))
    }

    fn since(&self, before: &Self, series: &str) -> f64 {
        let at = |metrics: &Self| metrics.0.get(series).copied().unwrap_or_default();
        at(self) - at(before)
    }

    /// Commands in a batch, on average.
    pub(crate) fn batch(&self, before: &Self) -> f64 {
        self.since(before, "points_batch_commands_sum")
            / self.since(before, "points_batch_commands_count").max(1.0)
    }

    /// Each step that the database was asked for: its name, how often, and milliseconds each time.
    pub(crate) fn steps(&self, before: &Self) -> Vec<(String, f64, f64)> {
        let counts = "db_query_duration_seconds_count{operation=\"";
        let operations = self.0.keys().filter_map(|series| {
            let (operation, rest) = series.strip_prefix(counts)?.split_once('"')?;
            Some((operation, rest))
        });
        operations
            .map(|(operation, rest)| {
                let of = |what: &str| {
                    let series = format!(
                        "db_query_duration_seconds_{what}{{operation=\"{operation}\"{rest}"
                    );
                    self.since(before, &series)
                };
                let count = of("count");
                (operation.to_owned(), count, of("sum") / count.max(1.0) * 1e3)
            })
            .filter(|(_, count, _)| *count > 0.0)
            .collect()
    }
}
