use chrono::{DateTime, Utc};
use kit::caller::token::Member;
use kit::{command, postgres};
use secrecy::SecretString;
use uuid::Uuid;

use super::login::with_member;
use super::notices::Notice;
use super::{Auth, Error, Session};
use crate::domain::{ACCESS_TOKEN_LIFE, Device, RefreshToken, Renewal};
use crate::metrics;
use crate::store::events::Event;
use crate::store::sessions::{self, Locked, Which};

/// What the proof in a refresh token is for, as the keyring tells uses apart.
const PURPOSE: &str = "refresh";

impl Auth {
    /// Takes no idempotency key: the token is one. Brought again at once, because the answer was lost,
    /// it is answered with the *same* successor; brought again later, it was copied, and the session
    /// ends.
    pub async fn refresh(&self, token: RefreshToken, device: Device) -> Result<Session, Error> {
        let auth = self.clone();
        let session = command::run(async move { auth.renew(&token, &device).await }).await?;
        metrics::REFRESHES.inc();
        Ok(session)
    }

    async fn renew(&self, token: &RefreshToken, device: &Device) -> Result<Session, Error> {
        let mut tx = postgres::begin(&self.db).await?;
        let Some(session) = sessions::lock(&mut tx, token.session).await? else {
            return Err(Error::InvalidToken);
        };
        let proven = derived_from(&session.salt, token.session, token.generation);
        if !self.keyring.has_blinded(PURPOSE, &proven, &token.proof) {
            return Err(Error::InvalidToken);
        }

        let Locked { member_id, salt, state, ends, now, roles } = session;
        match state.judge(token.generation, device, now) {
            Renewal::Rotate => sessions::rotate(&mut tx, token.session, device).await?,
            Renewal::Again => {}
            Renewal::Revoked => return Err(Error::SessionRevoked),
            Renewal::Expired => return Err(Error::SessionExpired),
            Renewal::Reused => {
                let which = Which::One(token.session);
                let ended = sessions::end(&mut tx, member_id, which, "refresh_reused").await?;
                let session = Some(token.session);
                self.note(
                    &mut tx,
                    Event { kind: "refresh_reused", member: Some(member_id), session },
                )
                .await?;
                self.tell(&mut tx, member_id, Notice::SessionCopied).await?;
                postgres::commit(tx).await?;
                self.announce(&ended);
                return Err(Error::RefreshReused);
            }
        }
        postgres::commit(tx).await?;

        let generation = token.generation + 1;
        let session = Signed { member_id, session: token.session, generation, ends };
        self.issue(session, &roles, &salt)
    }

    /// The tokens of a session.
    pub(super) fn issue(
        &self,
        signed: Signed,
        roles: &[String],
        salt: &[u8],
    ) -> Result<Session, Error> {
        let Signed { member_id, session, generation, ends } = signed;
        let now = self.clock.now();
        let expires = now + ACCESS_TOKEN_LIFE;
        let claims =
            Member::new(member_id, session, with_member(roles), self.clock.id(), now, expires);
        let access_token: SecretString =
            self.keys.held().signer.sign(&claims).map_err(Error::Sign)?.into();
        let proof = self.keyring.blind(PURPOSE, &derived_from(salt, session, generation));
        let refresh_token = RefreshToken { session, generation, proof }.encode();
        Ok(Session {
            member_id,
            session_id: session,
            access_token,
            refresh_token,
            ends,
            device: None,
        })
    }
}

/// A session that gets tokens.
pub(super) struct Signed {
    pub(super) member_id: Uuid,
    pub(super) session: Uuid,
    pub(super) generation: i32,
    pub(super) ends: DateTime<Utc>,
}

/// A proof is derived and not drawn, so that it can be made again, and need not be kept.
fn derived_from(salt: &[u8], session: Uuid, generation: i32) -> Vec<u8> {
    [salt, session.as_bytes(), &generation.to_be_bytes()[..]].concat()
}
