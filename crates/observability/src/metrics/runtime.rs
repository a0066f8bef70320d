//! The tokio runtime, read when it is asked about.

use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntGauge};
use tokio::runtime::Handle;

/// Reads tokio's own counters; none of them needs `tokio_unstable`.
pub(super) struct Runtime {
    runtime: Handle,
    workers: IntGauge,
    alive_tasks: IntGauge,
    global_queue: IntGauge,
    busy: Counter,
}

impl Runtime {
    pub(super) fn new(runtime: Handle) -> prometheus::Result<Self> {
        Ok(Self {
            runtime,
            workers: IntGauge::new("tokio_workers", "Worker threads.")?,
            alive_tasks: IntGauge::new("tokio_alive_tasks", "Tasks that have not ended.")?,
            global_queue: IntGauge::new(
                "tokio_global_queue_depth",
                "Tasks that wait for any worker; above 0 for long means overload.",
            )?,
            busy: Counter::new("tokio_busy_seconds_total", "Time all workers together were busy.")?,
        })
    }

    fn read(&self) {
        let now = self.runtime.metrics();
        self.workers.set(to_gauge(now.num_workers()));
        self.alive_tasks.set(to_gauge(now.num_alive_tasks()));
        self.global_queue.set(to_gauge(now.global_queue_depth()));
        let busy: Duration =
            (0..now.num_workers()).map(|worker| now.worker_total_busy_duration(worker)).sum();
        self.busy.inc_by((busy.as_secs_f64() - self.busy.get()).max(0.0));
    }
}

impl Collector for Runtime {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = [&self.workers, &self.alive_tasks, &self.global_queue];
        gauges.into_iter().flat_map(Collector::desc).chain(self.busy.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read();
        let gauges = [&self.workers, &self.alive_tasks, &self.global_queue];
        gauges.into_iter().flat_map(Collector::collect).chain(self.busy.collect()).collect()
    }
}

fn to_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
