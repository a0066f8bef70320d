use chrono::{DateTime, Utc};
use kit::caller::Role;
use kit::caller::token::{Member, SERVICES};
use secrecy::SecretString;
use uuid::Uuid;

use super::{Auth, Error};
use crate::domain::{ACCESS_TOKEN_LIFE, Audience, DeviceToken, RefreshToken};

/// The keyring's purpose for the proof in a refresh token.
const PURPOSE: &str = "refresh";

/// A member who is signed in.
#[derive(Debug)]
pub struct Session {
    pub member_id: Uuid,
    pub session_id: Uuid,
    pub access_token: SecretString,
    /// Prolongs the session once.
    pub refresh_token: SecretString,
    /// The latest end, however much the session is used.
    pub ends: DateTime<Utc>,
    /// After a login, the token for the device's next login.
    pub device: Option<DeviceToken>,
}

/// A session to issue tokens for.
pub(super) struct OpenSession {
    pub(super) member_id: Uuid,
    pub(super) session_id: Uuid,
    pub(super) generation: i32,
    pub(super) ends: DateTime<Utc>,
    pub(super) audience: Option<Audience>,
    /// True for a session opened for one service: its tokens may have the role `operator`.
    pub(super) operator: bool,
    pub(super) roles: Vec<String>,
    pub(super) salt: Vec<u8>,
}

impl Auth {
    /// Issues the tokens of a session. An access token for all services lacks the role `operator`, because any of them
    /// could use it at the others; that role takes a session for one service.
    pub(super) fn issue(&self, session: &OpenSession) -> Result<Session, Error> {
        let &OpenSession { member_id, session_id, generation, ends, audience, operator, .. } =
            session;
        let one = audience.map(|audience| [audience.as_str()]);
        let services = one.as_ref().map_or(&SERVICES[..], |one| &one[..]);
        let mut roles = with_member(&session.roles);
        roles.retain(|role| operator || *role != Role::Operator);
        let (id, now) = (self.clock.id(), self.clock.now());
        let life = (now, now + ACCESS_TOKEN_LIFE);
        let claims = Member::new(member_id, session_id, roles, services, id, life);
        let access_token = self.keys.current().signer.sign(&claims).map_err(Error::Internal)?;
        let proof = proof_input(&session.salt, session_id, generation);
        let proof = self.keyring.blind(PURPOSE, &proof);
        let refresh_token = RefreshToken { session: session_id, generation, proof }.encode();
        let access_token = access_token.into();
        Ok(Session { member_id, session_id, access_token, refresh_token, ends, device: None })
    }

    /// Checks that auth issued a refresh token for the session with this salt.
    pub(super) fn has_issued(&self, token: &RefreshToken, salt: &[u8]) -> bool {
        let input = proof_input(salt, token.session, token.generation);
        self.keyring.has_blinded(PURPOSE, &input, &token.proof)
    }
}

/// The bytes a proof is derived from. It is derived and not random, so that it can be made again and is not stored.
fn proof_input(salt: &[u8], session: Uuid, generation: i32) -> Vec<u8> {
    [salt, session.as_bytes(), &generation.to_be_bytes()[..]].concat()
}

/// Adds the role `member`, which is not stored because all members have it.
pub(super) fn with_member(stored: &[String]) -> Vec<Role> {
    let stored = stored.iter().filter_map(|role| role.parse().ok());
    std::iter::once(Role::Member).chain(stored).collect()
}
