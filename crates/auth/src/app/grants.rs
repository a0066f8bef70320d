use std::time::Duration;

use kit::caller::Refused;
use kit::caller::token::{GRANT_LIFE, Grant};
use secrecy::SecretString;
use uuid::Uuid;

use super::audit::log as audit;
use super::{Auth, Error};
use crate::domain::Actor;
use crate::store::events::Event;
use crate::store::sessions;

/// Points that a member lets a service hold once.
#[derive(Clone, Copy, Debug)]
pub struct HoldPoints {
    pub hold_id: Uuid,
    pub points: i64,
    pub merchant_id: Uuid,
}

/// A signed grant.
#[derive(Debug)]
pub struct IssuedGrant {
    pub grant: SecretString,
    pub expires_in: Duration,
}

impl Auth {
    /// Signs a member's consent, for the service that the member gave it to. The member's access token must be valid
    /// right now, by the database and not by the revocation feed, because the grant outlives it.
    pub async fn issue_grant(
        &self,
        service: &str,
        access_token: &str,
        terms: HoldPoints,
    ) -> Result<IssuedGrant, Error> {
        let member = self.verifier.member_of(service, access_token).await;
        let member = member.map_err(Error::Refused)?;
        let mut conn = self.db.acquire().await?;
        if !sessions::is_active(&mut conn, member.sid, member.sub).await? {
            return Err(Error::Refused(Refused::Revoked));
        }
        drop(conn);
        let HoldPoints { hold_id, points, merchant_id } = terms;
        let (id, now) = (self.clock.id(), self.clock.now());
        let terms = (hold_id, points, merchant_id);
        let claims = Grant::new(member.sub, service.to_owned(), terms, id, now);
        let grant = self.keys.current().signer.sign(&claims).map_err(Error::Internal)?;
        let event = Event::new("grant_issued", Actor::Service(service)).of(member.sub);
        audit(&event.in_session(member.sid));
        Ok(IssuedGrant { grant: grant.into(), expires_in: GRANT_LIFE })
    }
}
