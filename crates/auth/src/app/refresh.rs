use kit::postgres;
use uuid::Uuid;

use super::audit::log as audit;
use super::notices::Notice;
use super::tokens::OpenSession;
use super::{Auth, Error, Session};
use crate::domain::{Actor, Audience, Device, RefreshToken, Renewal};
use crate::metrics;
use crate::store::events::Event;
use crate::store::sessions::{self, Locked, Selection};

impl Auth {
    /// Exchanges a refresh token. Takes no idempotency key: the token is one. Sent again at once, because the answer was
    /// lost, it gets the *same* successor; sent again later, it was copied, and the session ends.
    pub async fn refresh(
        &self,
        token: RefreshToken,
        device: Device,
        asked: Option<Audience>,
    ) -> Result<Session, Error> {
        let mut tx = postgres::begin(&self.db).await?;
        let Some(session) = sessions::lock(&mut tx, token.session).await? else {
            return Err(refused(None, &token, Error::InvalidToken));
        };
        if !self.has_issued(&token, &session.salt) {
            return Err(refused(None, &token, Error::InvalidToken));
        }

        let Locked { member_id, salt, state, ends, now, audience: opened, roles } = session;
        if opened.is_some() && asked.is_some() && asked != opened {
            return Err(Error::OtherAudience);
        }
        let refused = |error| Err(refused(Some(member_id), &token, error));
        match state.judge(token.generation, &device, now) {
            Renewal::Rotate => sessions::rotate(&mut tx, token.session, &device).await?,
            Renewal::Again => {}
            Renewal::Revoked => return refused(Error::SessionRevoked),
            Renewal::Expired => return refused(Error::SessionExpired),
            Renewal::Reused => {
                let copied = Selection::One(token.session);
                let ended = sessions::end(&mut tx, member_id, copied, "refresh_reused").await?;
                let event = Event::new("refresh_reused", Actor::Stranger).of(member_id);
                self.record(&mut tx, event.in_session(token.session)).await?;
                self.notify(&mut tx, member_id, Notice::SessionCopied).await?;
                postgres::commit(tx).await?;
                self.revoke_locally(&ended);
                metrics::REFRESHES_REUSED.inc();
                return Err(Error::RefreshReused);
            }
        }
        postgres::commit(tx).await?;

        let renewed = self.issue(&OpenSession {
            member_id,
            session_id: token.session,
            generation: token.generation + 1,
            ends,
            audience: opened.or(asked),
            operator: opened.is_some(),
            roles,
            salt,
        })?;
        metrics::REFRESHES.inc();
        Ok(renewed)
    }
}

/// Records a refused refresh token.
fn refused(member: Option<Uuid>, token: &RefreshToken, error: Error) -> Error {
    audit(&Event::new("refresh_refused", Actor::Stranger).of(member).in_session(token.session));
    metrics::refused("refresh_token");
    error
}
