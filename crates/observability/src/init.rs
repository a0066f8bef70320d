//! Start and end of telemetry.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, InMemorySpanExporter, Sampler, SdkTracerProvider,
};
use tokio::runtime::{Handle, RuntimeFlavor};
use tracing::{Level, Metadata};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, filter, reload};

use crate::log::{Lines, Queue};
use crate::{Config, alert, carrier, context, log_level, metrics, panics};

/// Time limit of the end, shorter than an orchestrator's patience.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The destinations of log lines and spans, for tests.
#[derive(Default)]
pub struct Sinks {
    pub log: Option<Box<dyn Write + Send>>,
    /// Receives each span as it ends.
    pub spans: Option<InMemorySpanExporter>,
}

/// Flushes logs and spans when dropped, within 2 s, even if the collector does not answer.
#[must_use = "telemetry ends when the guard is dropped"]
pub struct Guard {
    traces: SdkTracerProvider,
    log: Arc<Queue>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let deadline = Instant::now() + END_TIMEOUT;
        // Resolving a stack takes up to half a second, and longer on a busy machine.
        panics::flush(END_TIMEOUT / 2);
        alert::flush(END_TIMEOUT / 4);
        let patience = deadline.saturating_duration_since(Instant::now()) * 3 / 4;
        if let Err(error) = self.traces.shutdown_with_timeout(patience) {
            tracing::warn!(%error, "last spans not delivered");
        }
        self.log.flush(deadline);
    }
}

/// Starts logs, traces, metrics and the panic hook, once per process.
///
/// Must be called inside a multi-thread tokio runtime: the exporter's connection lives there, and on a
/// current-thread runtime its shutdown would wait for itself (opentelemetry-rust#2583).
pub fn init(
    service: &'static str,
    version: &'static str,
    config: &Config,
) -> anyhow::Result<Guard> {
    init_with(service, version, config, Sinks::default())
}

/// Like [`init`], with other sinks.
pub fn init_with(
    service: &'static str,
    version: &'static str,
    config: &Config,
    sinks: Sinks,
) -> anyhow::Result<Guard> {
    let runtime =
        Handle::try_current().context("telemetry must be started inside a tokio runtime")?;
    let multi_thread = runtime.runtime_flavor() == RuntimeFlavor::MultiThread;
    anyhow::ensure!(multi_thread, "telemetry needs a multi-thread tokio runtime");

    let alerts = alert::client(config)?;
    let traces = traces(service, version, config, sinks.spans)?;
    let tracer = traces.tracer(service);
    let (directives, switch) = reload::Layer::new(log_level::parse(&config.log_level)?);
    let log = Queue::start(sinks.log.unwrap_or_else(|| Box::new(std::io::stdout())))?;
    let lines = Lines { service, format: config.log_format, queue: log.clone() };
    // These options are unused, and cost a quarter of the throughput.
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracer.clone())
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    let subscriber = tracing_subscriber::registry()
        .with(lines.with_filter(directives))
        .with(spans.with_filter(filter::filter_fn(is_our_span)));
    tracing::subscriber::set_global_default(subscriber).context("telemetry was already started")?;

    log_level::install(switch, &config.log_level);
    context::install_tracer(tracer);
    global::set_text_map_propagator(carrier::propagator());
    global::set_tracer_provider(traces.clone());
    metrics::start(version, runtime);
    alert::start(service, alerts);
    panics::install(log.clone())?;
    Ok(Guard { traces, log })
}

/// Returns true for our own spans at info and above. The exporter uses gRPC itself: tracing its transport
/// would create endless traces. Events are not added to spans; they are in the log, with the same ids.
fn is_our_span(metadata: &Metadata<'_>) -> bool {
    let origin = metadata.target().split("::").next().unwrap_or_default();
    metadata.is_span()
        && *metadata.level() <= Level::INFO
        && !["h2", "hyper", "hyper_util", "tonic", "tower"].contains(&origin)
}

#[expect(clippy::disallowed_methods, reason = "names this process, decides nothing")]
fn traces(
    service: &'static str,
    version: &'static str,
    config: &Config,
    sink: Option<InMemorySpanExporter>,
) -> anyhow::Result<SdkTracerProvider> {
    let resource = Resource::builder_empty()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", version))
        .with_attribute(KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()))
        .with_attribute(KeyValue::new("deployment.environment.name", config.environment.clone()))
        .build();
    let root = Sampler::TraceIdRatioBased(config.trace_ratio);
    let mut provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Sampler::ParentBased(Box::new(root)));
    if !config.otlp_endpoint.is_empty() {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&config.otlp_endpoint)
            .with_timeout(Duration::from_secs(3))
            .build()
            .context("OTEL_EXPORTER_OTLP_ENDPOINT")?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(8192)
            .with_scheduled_delay(Duration::from_millis(500))
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        provider = provider.with_span_processor(processor);
    }
    if let Some(exporter) = sink {
        provider = provider.with_simple_exporter(exporter);
    }
    Ok(provider.build())
}
