//! Our four services: what they are told, and the commands that are run beside them.

use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::Signal;

use super::{postgres, redis};
use crate::ports::SERVICES;
use crate::process::Program;
use crate::ready::Probe;
use crate::settings::Settings;
use crate::supervise::Part;

/// The services that have a client at auth: all but auth.
pub const CLIENTS: [&str; 3] = ["points", "booking", "incidents"];

pub fn part(settings: &Settings, name: &str) -> anyhow::Result<Part> {
    let ports = settings.ports.service(name);
    Ok(Part {
        name: name.to_owned(),
        program: program(settings, name, &[])?,
        probe: Probe::Http(format!("http://127.0.0.1:{}/ready", ports.http)),
        stop: Signal::SIGTERM,
        // The drain has 10 s.
        grace: Duration::from_secs(12),
        endpoint: format!("http://127.0.0.1:{}/docs", ports.http),
    })
}

/// The service's program in the service's environment, for a command of its own.
fn program(settings: &Settings, name: &str, arguments: &[&str]) -> anyhow::Result<Program> {
    let place = &settings.place;
    Ok(Program {
        path: place.program(name),
        arguments: arguments.iter().map(|&a| a.to_owned()).collect(),
        environment: environment(settings, name)?,
        user: None,
        directory: place.dir.clone(),
        stack: place.dir.clone(),
    })
}

/// Secrets go by file: a process's environment is too easily printed.
fn environment(settings: &Settings, name: &str) -> anyhow::Result<Vec<(String, String)>> {
    let Settings { place, ports, .. } = settings;
    let own = ports.service(name);
    let port = |to: &str, usual| settings.port(name, to, usual);
    let grpc =
        |service: &str| format!("http://127.0.0.1:{}", port(service, ports.service(service).grpc));
    let mut environment = Vec::new();
    let mut set = |variable: &str, value: String| environment.push((variable.to_owned(), value));

    set("HTTP_LISTEN", format!("127.0.0.1:{}", own.http));
    set("GRPC_LISTEN", format!("127.0.0.1:{}", own.grpc));
    set("ADMIN_LISTEN", format!("127.0.0.1:{}", own.admin));
    set("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", ports.otlp));
    set("LOG_FORMAT", "json".to_owned());
    // Here everybody has one address: tests and loads with all their members.
    set("RATE_LIMIT", "1000000/1m".to_owned());
    set("RATE_LIMIT_STRICT", "60000/1m".to_owned());
    set("MAX_CONNECTIONS_PER_ADDRESS", "10000".to_owned());
    // Huge pages would make 20 MiB of the 6 that an idle service needs.
    set("MIMALLOC_ALLOW_THP", "0".to_owned());
    if name == "auth" {
        // A password hash takes 19 MiB, which otherwise stay with the process.
        set("MIMALLOC_PURGE_DELAY", "0".to_owned());
    }
    set("AUTH_GRPC_URL", grpc("auth"));
    set("SERVICE_CLIENT_ID", name.to_owned());
    if name == "booking" {
        set("POINTS_GRPC_URL", grpc("points"));
        set("LINE_API_URL", format!("http://127.0.0.1:{}", ports.line));
    }
    if name == "auth" {
        set("MAIL_SINK_DIR", place.dir.join("mail").display().to_string());
        // The incident console, which says whose browser it calls for.
        set("TRUSTED_PROXIES", "127.0.0.1".to_owned());
    }

    if name == "incidents" {
        set("AUTH_HTTP_URL", format!("http://127.0.0.1:{}", ports.service("auth").http));
        set("PUBLIC_URL", format!("http://127.0.0.1:{}", own.http));
        set("ALERTMANAGER_URLS", format!("http://127.0.0.1:{}", ports.alertmanager));
        set("PROMETHEUS_URLS", format!("http://127.0.0.1:{}", ports.prometheus));
        // More than this Alertmanager's group_interval.
        set("ALERT_PATIENCE", "45s".to_owned());
        // How it takes a service back when an operator approves: by this program, in this stack. Never by itself
        // (ROLLBACK_AUTOMATIC).
        set("ROLLBACK_EXECUTOR", "command".to_owned());
        set("ROLLBACK_COMMAND", format!("{} rollback", place.program("stack").display()));
        set("STACK_DIR", place.dir.display().to_string());
        set("STACK_WORKSPACE", place.workspace.display().to_string());
    }

    let mut secret = |variable: &str, path: std::path::PathBuf| {
        // An empty variable counts as not set: what this shell has is not for the service.
        environment.push((variable.to_owned(), String::new()));
        environment.push((format!("{variable}_FILE"), path.display().to_string()));
    };
    let database = postgres::url(place, port("postgres", ports.postgres), name, "app")?;
    secret("DATABASE_URL", place.keep(&format!("{name}_database_url"), &database)?);
    let redis = redis::url(place, port("redis", ports.redis), name)?;
    secret("REDIS_URL", place.keep(&format!("{name}_redis_url"), &redis)?);
    let mut made = |variable: &str, name: &str| {
        place.secret(name)?;
        secret(variable, place.secrets().join(name));
        anyhow::Ok(())
    };
    if cfg!(debug_assertions) {
        made("FAULT_TOKEN", "fault_token")?;
    }
    match name {
        "auth" => made("AUTH_KEY_ENCRYPTION_KEY", "auth_key_encryption_key")?,
        _ => made("SERVICE_CLIENT_SECRET", &format!("{name}_client_secret"))?,
    }
    if name == "booking" {
        made("LINE_TOKEN_KEY", "line_token_key")?;
    }
    if name == "incidents" {
        made("WEBHOOK_TOKEN", "alert_webhook_token")?;
    }
    Ok(environment)
}

/// Runs `auth` with a command of its own, such as `grant`.
pub async fn auth(settings: &Settings, arguments: &[&str]) -> anyhow::Result<()> {
    let mut program = program(settings, "auth", arguments)?;
    // No client waits: on a machine that is compiling the first connection takes its time.
    program.environment.push(("DATABASE_ACQUIRE_TIMEOUT".to_owned(), "10s".to_owned()));
    program.run().await.context("auth refused")?;
    Ok(())
}

/// Makes the services known to auth, or gives them their secret anew.
pub async fn make_clients(settings: &Settings) -> anyhow::Result<()> {
    for client in CLIENTS {
        let name = format!("{client}_client_secret");
        settings.place.secret(&name)?;
        let file = settings.place.secrets().join(name).display().to_string();
        auth(settings, &["client", "--id", client, "--secret-file", &file]).await?;
    }
    Ok(())
}

/// Returns the environment in which `migrate` reaches the databases as their owners.
pub fn owners(settings: &Settings) -> anyhow::Result<Vec<(String, String)>> {
    let Settings { place, ports, .. } = settings;
    let mut environment = vec![
        ("MIGRATIONS_DIR".to_owned(), place.workspace.join("migrations").display().to_string()),
        ("DATABASE_OWNER_URL".to_owned(), String::new()),
    ];
    for service in SERVICES {
        let url = postgres::url(place, ports.postgres, service, "owner")?;
        let file = place.keep(&format!("{service}_owner_url"), &url)?;
        environment.push((
            format!("{}_OWNER_URL_FILE", service.to_ascii_uppercase()),
            file.display().to_string(),
        ));
    }
    Ok(environment)
}

/// Brings every database to the version of this checkout.
pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let place = &settings.place;
    let program = Program {
        path: place.program("migrate"),
        arguments: vec!["all".to_owned(), "up".to_owned()],
        environment: owners(settings)?,
        user: None,
        directory: place.dir.clone(),
        stack: place.dir.clone(),
    };
    program.run().await?;
    Ok(())
}
