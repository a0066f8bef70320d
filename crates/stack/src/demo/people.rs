//! The demo logins.

use anyhow::ensure;
use serde_json::json;

use crate::parts::service;
use crate::place::Place;
use crate::settings::Settings;

/// Somebody who can log in.
#[derive(Debug)]
pub struct Person {
    pub title: &'static str,
    pub email: &'static str,
    pub display_name: &'static str,
    /// Beyond `member`, which everybody is.
    pub role: Option<&'static str>,
}

pub const MERCHANT: Person = Person {
    title: "merchant",
    email: "merchant@example.com",
    display_name: "Mina Merchant",
    role: Some("merchant_admin"),
};

/// Everybody whom `make up` creates.
pub const ALL: [Person; 3] = [
    Person { title: "member", email: "member@example.com", display_name: "Max Member", role: None },
    MERCHANT,
    Person {
        title: "operator",
        email: "operator@example.com",
        display_name: "Olga Operator",
        role: Some("operator"),
    },
];

/// Their password: drawn once per stack, so that no two machines share it.
pub fn password(place: &Place) -> anyhow::Result<String> {
    Ok(format!("demo-{}", &place.secret("demo_password")?[..12]))
}

/// How a role is granted, which no API does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// By our own `auth` program.
    Native,
    /// By the one in its container.
    Compose,
}

/// Registers them and grants their roles. May be repeated.
pub async fn make(settings: &Settings, auth: Auth) -> anyhow::Result<()> {
    let Settings { place, ports, .. } = settings;
    let url = format!("http://127.0.0.1:{}/v1/register", ports.service("auth").http);
    let password = password(place)?;
    for person in &ALL {
        let body = json!({
            "email": person.email, "password": password, "display_name": person.display_name,
        });
        let answer = reqwest::Client::new()
            .post(&url)
            .header("idempotency-key", format!("stack-{}", person.title))
            .json(&body)
            .send()
            .await?;
        ensure!(answer.status().is_success(), "register {}: {}", person.title, answer.status());
        if let Some(role) = person.role {
            let grant = ["grant", "--email", person.email, "--role", role];
            match auth {
                Auth::Native => service::auth(settings, &grant).await?,
                Auth::Compose => in_container(place, &grant).await?,
            }
        }
    }
    Ok(())
}

async fn in_container(place: &Place, arguments: &[&str]) -> anyhow::Result<()> {
    let output = tokio::process::Command::new("docker")
        .args(["compose", "exec", "--no-TTY", "auth", "/usr/local/bin/app"])
        .args(arguments)
        .current_dir(&place.workspace)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "auth in its container refused: {}", said.trim());
    Ok(())
}
