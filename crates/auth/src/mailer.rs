//! Delivery of mail: over SMTP, or into a directory for a person to read.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::ExposeSecret as _;
use tokio::fs;
use tokio::io::AsyncWriteExt as _;

use crate::config::Mail;

/// Sends mail. Cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    from: Mailbox,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Directory(PathBuf),
    /// Not configured: every mail is refused, and so waits in the outbox.
    Nowhere,
}

impl Mailer {
    pub fn new(config: &Mail) -> anyhow::Result<Self> {
        let from = config.mail_from.parse().context("MAIL_FROM is not an e-mail address")?;
        let way = match (&config.smtp_url, &config.mail_sink_dir) {
            (Some(url), _) => {
                let smtp = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret());
                // The parser's own error may quote the password.
                Way::Smtp(smtp.ok().context("SMTP_URL is not an SMTP URL")?.build())
            }
            (None, Some(directory)) => Way::Directory(directory.clone()),
            (None, None) => Way::Nowhere,
        };
        Ok(Self { from, way })
    }

    /// Sends one mail. `id` becomes the `Message-ID`, so that a repeated mail is recognized.
    pub async fn send(
        &self,
        id: uuid::Uuid,
        to: &str,
        subject: &str,
        text: String,
    ) -> anyhow::Result<()> {
        let to: Mailbox = to.parse().map_err(|_| permanent("the address is not valid for mail"))?;
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
                smtp.send(message).await.map_err(|error| {
                    if error.is_permanent() {
                        permanent("the SMTP server rejected the mail")
                    } else {
                        anyhow::anyhow!("the SMTP server failed")
                    }
                })?;
            }
            Way::Directory(directory) => {
                let file = directory.join(format!("{id}.eml"));
                write(directory, &file, &message.formatted()).await?;
            }
            Way::Nowhere => bail!("neither SMTP_URL nor MAIL_SINK_DIR is set"),
        }
        Ok(())
    }
}

/// A failure that no further attempt can mend: the outbox soon gives up on the mail.
pub(crate) fn permanent(problem: impl Into<String>) -> anyhow::Error {
    tonic::Status::invalid_argument(problem).into()
}

/// Writes a file that only this user can read: a code opens an account.
async fn write(directory: &Path, file: &Path, mail: &[u8]) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(directory).await.context("cannot create MAIL_SINK_DIR")?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    // Renamed when complete, so that a reader finds a whole mail or none.
    let part = file.with_extension("part");
    let mut open = options.open(&part).await.context("cannot create a file in MAIL_SINK_DIR")?;
    open.write_all(mail).await.context("cannot write the mail")?;
    open.flush().await.context("cannot write the mail")?;
    fs::rename(part, file).await.context("cannot write the mail")
}
