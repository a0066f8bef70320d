//! Prometheus: scrapes the services and evaluates `deployments/prometheus/rules/`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::chaos::Pace;
use crate::process::Program;
use crate::ready::Probe;
use crate::settings::Settings;
use crate::supervise::Part;
use crate::tools::Tool;

pub fn part(settings: &Settings) -> anyhow::Result<Part> {
    let Settings { place, ports, .. } = settings;
    let data = place.data().join("prometheus");
    std::fs::create_dir_all(&data)?;
    let path = place.config().join("prometheus.yml");
    configure(settings, Pace::Usual)?;
    let port = ports.prometheus;
    Ok(Part {
        name: "prometheus".to_owned(),
        program: Program {
            path: Tool::Prometheus.path()?,
            arguments: vec![
                format!("--config.file={}", path.display()),
                format!("--storage.tsdb.path={}", data.display()),
                "--storage.tsdb.retention.time=2d".to_owned(),
                // What still fires is told again soon: an Alertmanager that was away, and the watchdog.
                "--rules.alert.resend-delay=15s".to_owned(),
                format!("--web.listen-address=127.0.0.1:{port}"),
            ],
            environment: Vec::new(),
            user: None,
            directory: data,
            stack: place.dir.clone(),
        },
        probe: Probe::Http(format!("http://127.0.0.1:{port}/-/ready")),
        stop: Signal::SIGTERM,
        grace: Duration::from_secs(10),
        endpoint: format!("http://127.0.0.1:{port}"),
    })
}

/// Writes its configuration, for it to be read at a start or at a SIGHUP.
pub fn configure(settings: &Settings, pace: Pace) -> anyhow::Result<()> {
    let Settings { place, .. } = settings;
    let ours = place.workspace.join("deployments/prometheus/rules");
    let rules = match pace {
        Pace::Usual => ours,
        Pace::Drill => hurried(&ours, &place.config().join("rules"))?,
    };
    std::fs::write(place.config().join("prometheus.yml"), config(settings, pace, &rules)?)?;
    Ok(())
}

/// The same rules with windows of seconds, so that a drill need not wait for minutes. Without the error
/// budget's, whose windows are hours and days.
fn hurried(ours: &Path, theirs: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(theirs)?;
    for entry in std::fs::read_dir(ours)?.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("slo") {
            continue;
        }
        let mut text = std::fs::read_to_string(entry.path())?;
        for minutes in ["1", "2", "5", "10", "15", "30"] {
            text = text.replace(&format!("[{minutes}m]"), "[20s]");
            text = text.replace(&format!("for: {minutes}m"), "for: 2s");
        }
        std::fs::write(theirs.join(name), text)?;
    }
    Ok(theirs.to_owned())
}

/// The same job and label names as in `deployments/prometheus/prometheus.yml`: the rules read them.
fn config(settings: &Settings, pace: Pace, rules: &Path) -> anyhow::Result<String> {
    let ports = &settings.ports;
    let (every, timeout) = if pace == Pace::Drill { ("1s", "1s") } else { ("5s", "3s") };
    let mut config = format!(
        r#"global:
  scrape_interval: {every}
  scrape_timeout: {timeout}
  evaluation_interval: {every}
rule_files:
  - "{}/*.yml"
alerting:
  alertmanagers:
    - static_configs:
        - targets: ["127.0.0.1:{}"]
scrape_configs:
  - job_name: prometheus
    static_configs:
      - targets: ["127.0.0.1:{}"]
        labels: {{service: prometheus}}
  - job_name: alertmanager
    static_configs:
      - targets: ["127.0.0.1:{}"]
        labels: {{service: alertmanager}}
"#,
        rules.display(),
        ports.alertmanager,
        ports.prometheus,
        ports.alertmanager
    );
    for service in &ports.services {
        write!(
            config,
            "  - job_name: {0}\n    honor_labels: true\n    static_configs:\n      - targets: [\"127.0.0.1:{1}\"]\n        \
             labels: {{service: {0}}}\n",
            service.name, service.admin
        )?;
    }
    Ok(config)
}
