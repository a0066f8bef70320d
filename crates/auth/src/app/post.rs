use anyhow::Context as _;
use kit::outbox::{self, Deliver, Event};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::mail::RESET;
use super::notices::{self, Notice};
use super::{Auth, mail};
use crate::mailer::Mailer;
use crate::store;

impl Auth {
    /// Sends what is to be sent, until `stop`.
    pub async fn deliver_mail(self, mailer: Mailer, stop: CancellationToken) {
        outbox::relay(self.db.clone(), Postman { auth: self, mailer }, stop).await;
    }
}

struct Postman {
    auth: Auth,
    mailer: Mailer,
}

/// A mail as somebody reads it.
struct Letter {
    to: String,
    subject: &'static str,
    text: String,
}

impl Deliver for Postman {
    async fn deliver(&self, event: &Event) -> anyhow::Result<()> {
        let letter = match event.kind.as_str() {
            notices::KIND => self.notice(id(event, "notice_id")?).await?,
            mail::KIND => self.code(id(event, "code_id")?).await?,
            other => anyhow::bail!("an event of the unknown kind {other}"),
        };
        // For an address that nobody has, or of no use any more.
        let Some(Letter { to, subject, text }) = letter else { return Ok(()) };
        self.mailer.send(event.id, &to, subject, text).await
    }
}

impl Postman {
    async fn code(&self, code: Uuid) -> anyhow::Result<Option<Letter>> {
        let mut conn = self.auth.db.acquire().await?;
        let Some(letter) = store::codes::letter(&mut conn, code).await? else { return Ok(None) };
        let text = self.auth.derived(code).spaced();
        let (subject, life, unless) = match letter.purpose.as_str() {
            RESET => ("Choose a new password", "ten minutes", "ask for it"),
            _ => ("Is this your address?", "a day", "open an account"),
        };
        let text = format!(
            "Your code is {text}. It is valid for {life}.\n\nIf you did not {unless}, do nothing.\n"
        );
        Ok(Some(Letter { to: letter.email, subject, text }))
    }

    async fn notice(&self, id: Uuid) -> anyhow::Result<Option<Letter>> {
        let mut conn = self.auth.db.acquire().await?;
        let Some(kept) = store::notices::find(&mut conn, id).await? else { return Ok(None) };
        let notice = Notice::ALL.into_iter().find(|notice| notice.as_str() == kept.kind);
        let notice = notice.context("a notice of an unknown kind")?;
        let (subject, text) = (notice.subject(), notice.text().to_owned());
        Ok(Some(Letter { to: kept.email, subject, text }))
    }
}

fn id(event: &Event, name: &str) -> anyhow::Result<Uuid> {
    let id = event.payload[name].as_str().and_then(|id| id.parse().ok());
    id.with_context(|| format!("an event without {name}"))
}
