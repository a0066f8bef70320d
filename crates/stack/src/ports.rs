//! Every port of the stack, each movable by a variable. All are bound to loopback.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The services, in the order of their ports.
pub const SERVICES: [&str; 4] = ["auth", "points", "booking", "incidents"];

/// The part of `--help` about ports.
pub const HELP: &str = "\
Ports, all on 127.0.0.1:
  {AUTH,POINTS,BOOKING,INCIDENTS}_HTTP_PORT    8081 to 8084
  {AUTH,POINTS,BOOKING,INCIDENTS}_GRPC_PORT    50051 to 50054
  {AUTH,POINTS,BOOKING,INCIDENTS}_ADMIN_PORT   9101 to 9104
  POSTGRES_PORT 15432, REDIS_PORT 16379, PROMETHEUS_PORT 9095, ALERTMANAGER_PORT 9093,
  JAEGER_PORT 16686, LINE_PORT 9390, OTLP_GRPC_PORT 4317";

/// The three listeners of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub name: String,
    pub http: u16,
    pub grpc: u16,
    pub admin: u16,
}

/// All ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    pub services: Vec<Service>,
    pub postgres: u16,
    pub redis: u16,
    pub prometheus: u16,
    pub alertmanager: u16,
    pub jaeger: u16,
    pub line: u16,
    pub otlp: u16,
}

impl Ports {
    /// The defaults, with what the environment moves.
    pub fn from_env() -> anyhow::Result<Self> {
        Self::from(|variable, default| match crate::settings::variable(variable) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(port) if port > 0 => Ok(port),
                _ => anyhow::bail!("{variable}: `{text}` is not a port"),
            },
        })
    }

    /// Ports that nobody uses right now.
    pub fn free() -> anyhow::Result<Self> {
        // All are held until the last is found, so that no two are the same.
        let mut held = Vec::new();
        Self::from(|_, _| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?;
            let port = listener.local_addr()?.port();
            held.push(listener);
            Ok(port)
        })
    }

    fn from(mut port: impl FnMut(&str, u16) -> anyhow::Result<u16>) -> anyhow::Result<Self> {
        let mut services = Vec::new();
        for (index, name) in (1..).zip(SERVICES) {
            let upper = name.to_ascii_uppercase();
            services.push(Service {
                name: name.to_owned(),
                http: port(&format!("{upper}_HTTP_PORT"), 8080 + index)?,
                grpc: port(&format!("{upper}_GRPC_PORT"), 50050 + index)?,
                admin: port(&format!("{upper}_ADMIN_PORT"), 9100 + index)?,
            });
        }
        Ok(Self {
            services,
            postgres: port("POSTGRES_PORT", 15432)?,
            redis: port("REDIS_PORT", 16379)?,
            prometheus: port("PROMETHEUS_PORT", 9095)?,
            alertmanager: port("ALERTMANAGER_PORT", 9093)?,
            jaeger: port("JAEGER_PORT", 16686)?,
            line: port("LINE_PORT", 9390)?,
            otlp: port("OTLP_GRPC_PORT", 4317)?,
        })
    }

    /// The ports of one service.
    ///
    /// # Panics
    /// When there is no such service, which is a mistake in this program.
    pub fn service(&self, name: &str) -> &Service {
        let found = self.services.iter().find(|s| s.name == name);
        found.unwrap_or_else(|| unreachable!("{name} is not a service"))
    }

    /// Each port with the variable that moves it.
    pub fn named(&self) -> Vec<(String, u16)> {
        let mut named = Vec::new();
        for service in &self.services {
            let upper = service.name.to_ascii_uppercase();
            named.push((format!("{upper}_HTTP_PORT"), service.http));
            named.push((format!("{upper}_GRPC_PORT"), service.grpc));
            named.push((format!("{upper}_ADMIN_PORT"), service.admin));
        }
        for (variable, port) in [
            ("POSTGRES_PORT", self.postgres),
            ("REDIS_PORT", self.redis),
            ("PROMETHEUS_PORT", self.prometheus),
            ("ALERTMANAGER_PORT", self.alertmanager),
            ("JAEGER_PORT", self.jaeger),
            ("LINE_PORT", self.line),
            ("OTLP_GRPC_PORT", self.otlp),
        ] {
            named.push((variable.to_owned(), port));
        }
        named
    }
}
