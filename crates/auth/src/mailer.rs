//! Mail on its way out: over SMTP, or into a directory where a person can read it.

use std::path::PathBuf;

use anyhow::Context as _;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::ExposeSecret as _;
use tokio::fs;

use crate::config::Mail;

/// Cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    from: Mailbox,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Directory(PathBuf),
    /// Nobody said how: mail is dropped, and the log says so.
    Nowhere,
}

impl Mailer {
    pub fn new(config: &Mail) -> anyhow::Result<Self> {
        let from = config.mail_from.parse().context("MAIL_FROM is no address")?;
        let way = match (&config.smtp_url, &config.mail_sink_dir) {
            (Some(url), _) => {
                let smtp = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret());
                // Not its own error, which may quote the password.
                Way::Smtp(smtp.ok().context("SMTP_URL is no SMTP URL")?.build())
            }
            (None, Some(directory)) => Way::Directory(directory.clone()),
            (None, None) => Way::Nowhere,
        };
        Ok(Self { from, way })
    }

    /// `id` names the mail, so that a repeated one can be told.
    pub async fn send(
        &self,
        id: uuid::Uuid,
        to: &str,
        subject: &str,
        text: String,
    ) -> anyhow::Result<()> {
        let to: Mailbox = to.parse().ok().context("the address is none that mail knows")?;
        let message = Message::builder()
            .message_id(Some(format!("<{id}@auth>")))
            .from(self.from.clone())
            .to(to)
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .context("cannot compose the mail")?;
        match &self.way {
            Way::Smtp(smtp) => {
                // The server's text may quote the address.
                smtp.send(message)
                    .await
                    .map_err(|e| anyhow::anyhow!("SMTP refused: permanent={}", e.is_permanent()))?;
            }
            Way::Directory(directory) => {
                fs::create_dir_all(directory).await.context("cannot make MAIL_SINK_DIR")?;
                let file = directory.join(format!("{id}.eml"));
                fs::write(file, message.formatted()).await.context("cannot write the mail")?;
            }
            Way::Nowhere => {
                tracing::warn!("neither SMTP_URL nor MAIL_SINK_DIR is set: a mail is dropped")
            }
        }
        Ok(())
    }
}
