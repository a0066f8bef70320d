use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kit::outbox::{self, Deliver, Event};
use kit::postgres;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::notices::{self, Notice};
use super::{Auth, codes};
use crate::domain::{Email, Purpose};
use crate::mailer::{Mailer, permanent};
use crate::store;

impl Auth {
    /// Delivers queued mail until `stop`.
    pub async fn deliver_mail(self, mailer: Mailer, stop: CancellationToken) {
        outbox::relay(self.db.clone(), MailDelivery { auth: self, mailer }, stop).await;
    }
}

struct MailDelivery {
    auth: Auth,
    mailer: Mailer,
}

/// A mail to send.
struct Mail {
    to: String,
    subject: &'static str,
    text: String,
}

impl Deliver for MailDelivery {
    async fn deliver(&self, event: &Event) -> anyhow::Result<()> {
        let mail = match event.kind.as_str() {
            notices::KIND => self.notice_mail(id(event, "notice_id")?).await?,
            codes::KIND => self.code_mail(event).await?,
            other => return Err(permanent(format!("unknown event kind {other}"))),
        };
        // The address is unknown, or the mail is of no use any more.
        let Some(Mail { to, subject, text }) = mail else { return Ok(()) };
        self.mailer.send(event.id, &to, subject, text).await
    }
}

impl MailDelivery {
    fn address(&self, event: &Event) -> anyhow::Result<Email> {
        let to = self.auth.open_address(word(event, "to")?);
        to.map_err(|_| permanent("cannot open the sealed address"))
    }

    /// Makes the code at the first delivery, because its life begins with the mail. Further attempts find it.
    async fn code_mail(&self, event: &Event) -> anyhow::Result<Option<Mail>> {
        let (code, to) = (id(event, "code_id")?, self.address(event)?);
        let purpose = Purpose::parse(word(event, "purpose")?);
        let purpose = purpose.ok_or_else(|| permanent("unknown purpose of a code"))?;
        // An event of an older version has no requester.
        let requester = event.payload["requester"].as_str().unwrap_or_default();
        let requester = STANDARD.decode(requester).map_err(|_| permanent("malformed requester"))?;
        let mut tx = postgres::begin(&self.auth.db).await?;
        let life = purpose.life();
        store::codes::create(&mut tx, code, &to, purpose.as_str(), life, &requester).await?;
        let email = store::codes::addressee(&mut tx, code).await?;
        postgres::commit(tx).await?;
        let Some(email) = email else { return Ok(None) };
        let text = self.auth.derive_code(code).spaced();
        let (subject, life, unless) = match purpose {
            Purpose::Reset => ("Choose a new password", "ten minutes", "ask for it"),
            Purpose::Verify => ("Is this your address?", "a day", "open an account"),
        };
        let text = format!(
            "Your code is {text}. It is valid for {life}.\n\nIf you did not {unless}, do nothing.\n"
        );
        Ok(Some(Mail { to: email, subject, text }))
    }

    async fn notice_mail(&self, id: Uuid) -> anyhow::Result<Option<Mail>> {
        let mut conn = self.auth.db.acquire().await?;
        let Some(kept) = store::notices::find(&mut conn, id).await? else { return Ok(None) };
        let notice = Notice::ALL.into_iter().find(|notice| notice.as_str() == kept.kind);
        let notice = notice.ok_or_else(|| permanent("unknown kind of a notice"))?;
        let (subject, text) = (notice.subject(), notice.text().to_owned());
        Ok(Some(Mail { to: kept.email, subject, text }))
    }
}

fn id(event: &Event, name: &str) -> anyhow::Result<Uuid> {
    word(event, name)?.parse().map_err(|_| permanent(format!("the event lacks {name}")))
}

fn word<'a>(event: &'a Event, name: &str) -> anyhow::Result<&'a str> {
    event.payload[name].as_str().ok_or_else(|| permanent(format!("the event lacks {name}")))
}
