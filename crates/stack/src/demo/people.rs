//! The demo logins.

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::parts::service;
use crate::place::Place;
use crate::process::POLL;
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

/// The `auth` program that grants roles; no API does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// By our own `auth` program.
    Native,
    /// By the one in its container.
    Compose,
}

/// Registers them, verifies their addresses as they would, and grants their roles. May be repeated.
pub async fn make(settings: &Settings, auth: Auth) -> anyhow::Result<()> {
    let Settings { place, ports, .. } = settings;
    let api = Api {
        client: reqwest::Client::new(),
        url: format!("http://127.0.0.1:{}", ports.service("auth").http),
        password: password(place)?,
    };
    for person in &ALL {
        let body = json!({
            "email": person.email, "password": api.password, "display_name": person.display_name,
        });
        let answer = api.post("/v1/register", &format!("stack-{}", person.title), &body).await?;
        ensure!(answer.is_success(), "register {}: {answer}", person.title);
        if !api.is_verified(person).await? {
            verify(&api, person, place, auth).await?;
        }
        if let Some(role) = person.role {
            let grant = ["grant", "--email", person.email, "--role", role];
            match auth {
                Auth::Native => service::auth(settings, &grant).await?,
                Auth::Compose => {
                    let asked = [&["exec", "--no-TTY", "auth", "/usr/local/bin/app"], &grant[..]];
                    compose(place, &asked.concat()).await?;
                }
            }
        }
    }
    Ok(())
}

/// Brings the code that was mailed to somebody. Asks for another one when the first is too old.
async fn verify(api: &Api, person: &Person, place: &Place, auth: Auth) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut tried = HashSet::new();
    let mut asked = false;
    while Instant::now() < deadline {
        let Some(code) = newest_code(person, place, auth).await? else {
            tokio::time::sleep(POLL).await;
            continue;
        };
        let key = format!("stack-{:016x}", rand::random::<u64>());
        if tried.insert(code.clone()) {
            let body = json!({ "email": person.email, "code": code, "password": api.password });
            if api.post("/v1/verification", &key, &body).await?.is_success() {
                return Ok(());
            }
        } else if !asked {
            let body = json!({ "email": person.email });
            api.post("/v1/verification/resend", &key, &body).await?;
            asked = true;
        }
        tokio::time::sleep(POLL).await;
    }
    bail!("{} got no mail with a code that verifies the address", person.email)
}

/// The code in the newest mail to somebody, from the directory where auth leaves mail.
async fn newest_code(person: &Person, place: &Place, auth: Auth) -> anyhow::Result<Option<String>> {
    let mail = place.dir.join("mail");
    if auth == Auth::Compose {
        let copy = mail.display().to_string();
        // Nothing is there before the first mail.
        let _ = compose(place, &["cp", "auth:/home/nonroot/mail/.", &copy]).await;
    }
    let Ok(files) = fs::read_dir(&mail) else { return Ok(None) };
    let mut files: Vec<_> = files.map(|file| Ok(file?.path())).collect::<anyhow::Result<_>>()?;
    files.retain(|file| file.extension() == Some("eml".as_ref()));
    files.sort(); // named by the time they were written
    let to = format!("To: {}", person.email);
    Ok(files.iter().rev().find_map(|file| {
        let mail = fs::read_to_string(file).ok()?;
        let is_theirs = mail.lines().any(|line| line.trim_end() == to);
        let code = mail.split_once("Your code is ")?.1.get(..11)?;
        is_theirs.then(|| code.to_owned())
    }))
}

async fn compose(place: &Place, arguments: &[&str]) -> anyhow::Result<()> {
    let output = tokio::process::Command::new("docker")
        .arg("compose")
        .args(arguments)
        .current_dir(&place.workspace)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "docker compose {}: {}", arguments[0], said.trim());
    Ok(())
}

/// auth's public API, with everybody's password.
struct Api {
    client: reqwest::Client,
    url: String,
    password: String,
}

impl Api {
    async fn post(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<StatusCode> {
        // A machine that is compiling has no connection to spare for a moment: the same again, with its key.
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let call = self.client.post(format!("{}{path}", self.url));
            let call = call.header("idempotency-key", key).json(body);
            let status = call.send().await?.status();
            if status != StatusCode::SERVICE_UNAVAILABLE || Instant::now() > deadline {
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn is_verified(&self, person: &Person) -> anyhow::Result<bool> {
        let body = json!({ "email": person.email, "password": self.password });
        let login = self.client.post(format!("{}/v1/login", self.url)).json(&body).send().await?;
        // Somebody else registered the address: verifying it makes it theirs.
        if !login.status().is_success() {
            return Ok(false);
        }
        let session: Value = login.json().await?;
        let token = session["access_token"].as_str().unwrap_or_default();
        let me = self.client.get(format!("{}/v1/me", self.url)).bearer_auth(token).send().await?;
        Ok(me.json::<Value>().await?["email_verified"] == true)
    }
}
