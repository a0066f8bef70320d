//! Prometheus: scrapes the services and evaluates `deployments/prometheus/rules/`.

use std::fmt::Write;
use std::time::Duration;

use nix::sys::signal::Signal;

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
    std::fs::write(&path, config(settings)?)?;
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

/// The same job and label names as in `deployments/prometheus/prometheus.yml`: the rules read them.
fn config(settings: &Settings) -> anyhow::Result<String> {
    let Settings { place, ports, .. } = settings;
    let rules = place.workspace.join("deployments/prometheus/rules");
    let mut config = format!(
        r#"global:
  scrape_interval: 5s
  scrape_timeout: 3s
  evaluation_interval: 5s
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
