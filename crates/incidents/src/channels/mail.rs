use std::time::Duration;

use anyhow::{Context as _, ensure};
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::link;
use crate::domain::Notice;

/// A mailing list of ours, over SMTP.
pub(super) struct Mail {
    smtp: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    console: String,
}

impl Mail {
    pub(super) fn new(
        smtp: &SecretString,
        from: &str,
        to: &[String],
        console: &str,
    ) -> anyhow::Result<Self> {
        let url = AsyncSmtpTransport::<Tokio1Executor>::from_url(smtp.expose_secret());
        // The original error may quote the password.
        let smtp = url.ok().context("SMTP_URL is not an SMTP URL")?;
        let to: Result<Vec<Mailbox>, _> = to.iter().map(|to| to.trim().parse()).collect();
        let to = to.ok().context("MAIL_MANAGEMENT_TO or MAIL_TEAM_TO is not a mail address")?;
        ensure!(!to.is_empty(), "a mail channel has no address");
        Ok(Self {
            smtp: smtp.timeout(Some(Duration::from_secs(5))).build(),
            from: from.parse().context("MAIL_FROM is not a mail address")?,
            to,
            console: console.to_owned(),
        })
    }

    /// Sends a mail in plain text. `id` identifies it, so that a repeated one can be recognized.
    pub(super) async fn send(&self, id: Uuid, notice: &Notice) -> Result<(), String> {
        let text = format!(
            "{}\n\n{}\n\nService: {}\n{}\n",
            notice.subject(),
            notice.body(),
            notice.service,
            link(&self.console, notice)
        );
        let mut message = Message::builder()
            .message_id(Some(format!("<{id}@incidents>")))
            .from(self.from.clone())
            .subject(notice.subject())
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(to.clone());
        }
        let message = message.body(text).map_err(|_| "the mail is invalid".to_owned())?;
        // The server's text may quote an address.
        let sent = self.smtp.send(message).await;
        sent.map_err(|e| {
            format!("the SMTP server refused the mail: permanent={}", e.is_permanent())
        })?;
        Ok(())
    }
}
