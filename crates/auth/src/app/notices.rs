use kit::outbox::{self, Event};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Auth, Error};
use crate::domain::Email;
use crate::store::notices;

/// The kind of a notice's event in the outbox.
pub(super) const KIND: &str = "mail.notice";

/// A change to an account that its member learns of by mail, whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    PasswordChanged,
    SessionCopied,
    AccountDisabled,
    AccountEnabled,
    SignInLocked,
}

impl Notice {
    pub(super) const ALL: [Self; 5] = [
        Self::PasswordChanged,
        Self::SessionCopied,
        Self::AccountDisabled,
        Self::AccountEnabled,
        Self::SignInLocked,
    ];

    /// The word that is stored.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::PasswordChanged => "password_changed",
            Self::SessionCopied => "session_copied",
            Self::AccountDisabled => "account_disabled",
            Self::AccountEnabled => "account_enabled",
            Self::SignInLocked => "sign_in_locked",
        }
    }

    pub(super) const fn subject(self) -> &'static str {
        match self {
            Self::PasswordChanged => "Your password was changed",
            Self::SessionCopied => "You were signed out on a device",
            Self::AccountDisabled => "Your account was disabled",
            Self::AccountEnabled => "Your account works again",
            Self::SignInLocked => "Somebody tried to sign in to your account",
        }
    }

    /// The body of the mail. It has no link, so that members learn to distrust mail with one.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::PasswordChanged => {
                "The password of your account was changed, and you were signed out everywhere else.\n\n\
                 If that was not you, ask for a new password at once: the other person cannot read this mailbox.\n"
            }
            Self::SessionCopied => {
                "Your session was used from two places at once, so one of them had a copy. It was ended for \
                 both.\n\n\
                 Sign in again. If you do not know why this happened, change your password.\n"
            }
            Self::AccountDisabled => {
                "Your account was disabled and you were signed out everywhere.\n\n\
                 If you think that this is a mistake, write to our support.\n"
            }
            Self::AccountEnabled => "Your account works again. You can sign in.\n",
            Self::SignInLocked => {
                "Somebody gave a wrong password for your account too often, so signing in from there is refused for \
                 a while. You can still sign in on a device that you have used before.\n\n\
                 If it was you, wait or choose a new password. If it was not, you need do nothing: nobody got in.\n"
            }
        }
    }
}

impl Auth {
    /// Notifies a member by mail, if the transaction commits.
    pub(super) async fn notify(
        &self,
        tx: &mut PgConnection,
        member: Uuid,
        notice: Notice,
    ) -> Result<(), Error> {
        let id = self.clock.id();
        notices::create(tx, id, member, notice.as_str()).await?;
        self.queue_notice(tx, id).await
    }

    /// Notifies the member with this address. An unknown address costs the same.
    pub(super) async fn notify_owner(
        &self,
        tx: &mut PgConnection,
        email: &Email,
        notice: Notice,
    ) -> Result<(), Error> {
        let id = self.clock.id();
        let lock = self.keyring.blind("notice", email.as_str().as_bytes());
        let lock = lock.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
        notices::create_for(tx, id, email, notice.as_str(), lock).await?;
        self.queue_notice(tx, id).await
    }

    async fn queue_notice(&self, tx: &mut PgConnection, notice: Uuid) -> Result<(), Error> {
        let event = Event {
            id: self.clock.id(),
            aggregate: format!("mail:{notice}"),
            kind: KIND.to_owned(),
            payload: json!({ "notice_id": notice }),
            occurred_at: self.clock.now(),
        };
        Ok(outbox::publish(tx, &event).await?)
    }
}
