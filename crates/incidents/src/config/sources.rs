use std::time::Duration;

use clap::Args;
use kit::config::duration;
use kit::process::Refusal;

use crate::peers;

/// The sources of alerts, which are asked which alerts still fire. All of them, or none: an alert of a source
/// that is not named would be taken as ended.
#[derive(Args, Clone, Debug)]
pub struct Sources {
    /// Every Alertmanager that delivers to this service, such as http://alertmanager:9093.
    #[arg(long, env = "ALERTMANAGER_URLS", value_delimiter = ',', value_parser = base)]
    pub alertmanager_urls: Vec<String>,
    /// Every Prometheus behind those, such as http://prometheus:9090.
    #[arg(long, env = "PROMETHEUS_URLS", value_delimiter = ',', value_parser = base)]
    pub prometheus_urls: Vec<String>,
    /// Time for which an alert must be unknown to all of them before it counts as ended; more than Alertmanager's
    /// group_interval, within which it would deliver the end.
    #[arg(long, env = "ALERT_PATIENCE", default_value = "10m", value_parser = duration)]
    pub alert_patience: Duration,
}

impl Sources {
    /// Returns `None` when no source is named. Fails when only one kind is named: both are needed to know.
    pub fn sources(&self) -> anyhow::Result<Option<peers::Sources>> {
        let named = |urls: &[String]| -> Vec<String> {
            urls.iter().filter(|url| !url.is_empty()).cloned().collect()
        };
        let (alertmanagers, prometheuses) =
            (named(&self.alertmanager_urls), named(&self.prometheus_urls));
        match (alertmanagers.is_empty(), prometheuses.is_empty()) {
            (true, true) => Ok(None),
            (false, false) => peers::Sources::new(alertmanagers, prometheuses).map(Some),
            _ => Err(Refusal(
                "ALERTMANAGER_URLS and PROMETHEUS_URLS must be set together".to_owned(),
            )
            .into()),
        }
    }
}

/// Parses an internal address, or an empty one, as compose sets an unset variable.
fn base(url: &str) -> Result<String, &'static str> {
    let url = url.trim();
    if url.is_empty() || url.strip_prefix("http://").is_some_and(|rest| !rest.is_empty()) {
        return Ok(url.to_owned());
    }
    Err("expected http://host:port")
}
