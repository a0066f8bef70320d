//! The metrics of the tokio runtime, read on request.

use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntGauge};
use tokio::runtime::Handle;

/// Reads tokio's own counters; none of them needs `tokio_unstable`.
pub(super) struct Runtime {
    runtime: Handle,
    shape: Values,
}

/// One reading, created each time because a counter cannot be set.
struct Values {
    workers: IntGauge,
    alive_tasks: IntGauge,
    global_queue: IntGauge,
    busy: Counter,
}

impl Runtime {
    pub(super) fn new(runtime: Handle) -> prometheus::Result<Self> {
        Ok(Self { runtime, shape: Values::zero()? })
    }

    fn read(&self) -> prometheus::Result<Values> {
        let (now, values) = (self.runtime.metrics(), Values::zero()?);
        values.workers.set(to_gauge(now.num_workers()));
        values.alive_tasks.set(to_gauge(now.num_alive_tasks()));
        values.global_queue.set(to_gauge(now.global_queue_depth()));
        let workers = 0..now.num_workers();
        let busy: Duration = workers.map(|worker| now.worker_total_busy_duration(worker)).sum();
        values.busy.inc_by(busy.as_secs_f64());
        Ok(values)
    }
}

impl Values {
    fn zero() -> prometheus::Result<Self> {
        Ok(Self {
            workers: IntGauge::new("tokio_workers", "Worker threads.")?,
            alive_tasks: IntGauge::new("tokio_alive_tasks", "Tasks that have not ended.")?,
            global_queue: IntGauge::new(
                "tokio_global_queue_depth",
                "Tasks that wait for any worker; above 0 for long means overload.",
            )?,
            busy: Counter::new("tokio_busy_seconds_total", "Time all workers together were busy.")?,
        })
    }

    fn collectors(&self) -> [&dyn Collector; 4] {
        [&self.workers, &self.alive_tasks, &self.global_queue, &self.busy]
    }
}

impl Collector for Runtime {
    fn desc(&self) -> Vec<&Desc> {
        self.shape.collectors().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let values = self.read();
        let values = values.iter().flat_map(Values::collectors);
        values.flat_map(Collector::collect).collect()
    }
}

fn to_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
