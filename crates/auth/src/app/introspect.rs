use kit::caller::token::SERVICES;
use kit::caller::{Refused, Role};
use uuid::Uuid;

use super::{Auth, Error};
use crate::metrics;
use crate::store::sessions;

/// The claims of a valid access token.
#[derive(Debug)]
pub struct Introspection {
    pub member_id: Uuid,
    pub roles: Vec<Role>,
    /// Seconds since the Unix epoch.
    pub expires_at: i64,
}

impl Auth {
    /// Returns the claims of a token that is valid right now, for whichever services: correctly signed, of a session that
    /// has not ended.
    pub async fn introspect(&self, token: &str) -> Result<Option<Introspection>, Error> {
        let claims = match self.verifier.any_member(token).await {
            Ok(claims) if SERVICES.iter().any(|service| claims.is_for(service)) => claims,
            Err(Refused::Expired | Refused::Revoked) => {
                metrics::validation("expired");
                return Ok(None);
            }
            Ok(_) | Err(Refused::Invalid | Refused::Forbidden) => {
                metrics::validation("invalid");
                return Ok(None);
            }
            Err(refused) => return Err(Error::Refused(refused)),
        };
        let mut conn = self.db.acquire().await?;
        if !sessions::is_active(&mut conn, claims.sid, claims.sub).await? {
            metrics::validation("expired");
            return Ok(None);
        }
        metrics::validation("valid");
        let expires_at = claims.expires_at();
        Ok(Some(Introspection { member_id: claims.sub, roles: claims.roles, expires_at }))
    }
}
