use chrono::{DateTime, Utc};
use kit::caller::Role;
use kit::caller::token::{Member, SERVICES};
use kit::{command, postgres};
use secrecy::SecretString;
use uuid::Uuid;

use super::audit::log as audit;
use super::login::with_member;
use super::notices::Notice;
use super::{Auth, Error, Session};
use crate::domain::{ACCESS_TOKEN_LIFE, Actor, Audience, Device, RefreshToken, Renewal};
use crate::metrics;
use crate::store::events::Event;
use crate::store::sessions::{self, Locked, Which};

/// The keyring's purpose for the proof in a refresh token.
const PURPOSE: &str = "refresh";

impl Auth {
    /// Exchanges a refresh token. Takes no idempotency key: the token is one. Sent again at once, because the answer was
    /// lost, it gets the *same* successor; sent again later, it was copied, and the session ends.
    pub async fn refresh(
        &self,
        token: RefreshToken,
        device: Device,
        audience: Option<Audience>,
    ) -> Result<Session, Error> {
        let auth = self.clone();
        let session =
            command::run(async move { auth.renew(&token, &device, audience).await }).await?;
        metrics::REFRESHES.inc();
        Ok(session)
    }

    async fn renew(
        &self,
        token: &RefreshToken,
        device: &Device,
        asked: Option<Audience>,
    ) -> Result<Session, Error> {
        let mut tx = postgres::begin(&self.db).await?;
        let Some(session) = sessions::lock(&mut tx, token.session).await? else {
            return Err(refused(None, token, Error::InvalidToken));
        };
        let proven = derived_from(&session.salt, token.session, token.generation);
        if !self.keyring.has_blinded(PURPOSE, &proven, &token.proof) {
            return Err(refused(None, token, Error::InvalidToken));
        }

        let Locked { member_id, salt, state, ends, now, audience: opened, roles } = session;
        if opened.is_some() && asked.is_some() && asked != opened {
            return Err(Error::OtherAudience);
        }
        match state.judge(token.generation, device, now) {
            Renewal::Rotate => sessions::rotate(&mut tx, token.session, device).await?,
            Renewal::Again => {}
            Renewal::Revoked => return Err(refused(Some(member_id), token, Error::SessionRevoked)),
            Renewal::Expired => return Err(refused(Some(member_id), token, Error::SessionExpired)),
            Renewal::Reused => {
                let which = Which::One(token.session);
                let ended = sessions::end(&mut tx, member_id, which, "refresh_reused").await?;
                let event = Event::new("refresh_reused", Actor::Stranger).of(member_id);
                self.note(&mut tx, event.in_session(token.session)).await?;
                self.tell(&mut tx, member_id, Notice::SessionCopied).await?;
                postgres::commit(tx).await?;
                self.announce(&ended);
                metrics::REFRESHES_REUSED.inc();
                return Err(Error::RefreshReused);
            }
        }
        postgres::commit(tx).await?;

        let generation = token.generation + 1;
        let (audience, operator) = (opened.or(asked), opened.is_some());
        let session = token.session;
        let signed = Signed { member_id, session, generation, ends, audience, operator };
        self.issue(signed, &roles, &salt)
    }

    /// Issues the tokens of a session. An access token for all services lacks the role `operator`, because any of them
    /// could use it at the others; that role takes a session for one service.
    pub(super) fn issue(
        &self,
        signed: Signed,
        roles: &[String],
        salt: &[u8],
    ) -> Result<Session, Error> {
        let Signed { member_id, session, generation, ends, audience, operator } = signed;
        let now = self.clock.now();
        let expires = now + ACCESS_TOKEN_LIFE;
        let one = audience.map(|audience| [audience.as_str()]);
        let services = one.as_ref().map_or(&SERVICES[..], |one| &one[..]);
        let mut roles = with_member(roles);
        roles.retain(|role| operator || *role != Role::Operator);
        let (id, life) = (self.clock.id(), (now, expires));
        let claims = Member::new(member_id, session, roles, services, id, life);
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

/// Records a refused refresh token.
fn refused(member: Option<Uuid>, token: &RefreshToken, error: Error) -> Error {
    audit(&Event::new("refresh_refused", Actor::Stranger).of(member).in_session(token.session));
    metrics::refused("refresh_token");
    error
}

/// A session to issue tokens for.
pub(super) struct Signed {
    pub(super) member_id: Uuid,
    pub(super) session: Uuid,
    pub(super) generation: i32,
    pub(super) ends: DateTime<Utc>,
    pub(super) audience: Option<Audience>,
    /// True for a session opened for one service: its tokens may have the role `operator`.
    pub(super) operator: bool,
}

/// The bytes a proof is derived from. It is derived and not random, so that it can be made again and is not stored.
fn derived_from(salt: &[u8], session: Uuid, generation: i32) -> Vec<u8> {
    [salt, session.as_bytes(), &generation.to_be_bytes()[..]].concat()
}
