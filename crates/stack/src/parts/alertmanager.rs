//! Alertmanager: groups what Prometheus finds and hands it to incidents.

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
    let data = place.data().join("alertmanager");
    std::fs::create_dir_all(&data)?;
    configure(settings, Pace::Usual)?;
    let path = place.config().join("alertmanager.yml");
    let port = ports.alertmanager;
    Ok(Part {
        name: "alertmanager".to_owned(),
        program: Program {
            path: Tool::Alertmanager.path()?,
            arguments: vec![
                format!("--config.file={}", path.display()),
                format!("--storage.path={}", data.display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
                // There is one: no gossip.
                "--cluster.listen-address=".to_owned(),
            ],
            environment: Vec::new(),
            user: None,
            directory: data,
            stack: place.dir.clone(),
        },
        probe: Probe::Http(format!("http://127.0.0.1:{port}/-/ready")),
        stop: Signal::SIGTERM,
        grace: Duration::from_secs(5),
        endpoint: format!("http://127.0.0.1:{port}"),
    })
}

/// Writes its configuration, for it to be read at a start or at a SIGHUP.
pub fn configure(settings: &Settings, pace: Pace) -> anyhow::Result<()> {
    let Settings { place, ports, .. } = settings;
    place.secret("alert_webhook_token")?;
    let token = place.secrets().join("alert_webhook_token");
    // Short waits: on one machine an incident should be seen while one looks.
    let (wait, interval) = if pace == Pace::Drill { ("1s", "3s") } else { ("5s", "30s") };
    let config = format!(
        r#"route:
  receiver: incidents
  group_by: [alertname, service]
  group_wait: {wait}
  group_interval: {interval}
  repeat_interval: 4h
  routes:
    - receiver: incidents
      matchers: ['alertname="Watchdog"']
      group_wait: 0s
      group_interval: 15s
      repeat_interval: 10s
inhibit_rules:
  - source_matchers: ['severity="critical"']
    target_matchers: ['severity="warning"']
    equal: [alertname, service]
receivers:
  - name: incidents
    webhook_configs:
      - url: http://127.0.0.1:{}/v1/alerts
        send_resolved: true
        http_config:
          authorization:
            type: Bearer
            credentials_file: "{}"
"#,
        ports.service("incidents").http,
        token.display()
    );
    std::fs::write(place.config().join("alertmanager.yml"), config)?;
    Ok(())
}
