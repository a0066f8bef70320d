use chrono::{DateTime, Utc};
use kit::caller::Role;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::login::with_member;
use super::{Auth, Error};
use crate::store::members;

/// What a member sees of themselves.
#[derive(Serialize, ToSchema)]
pub struct Profile {
    pub member_id: Uuid,
    pub email: String,
    /// Whether somebody who reads mail to it has said so.
    pub email_verified: bool,
    pub display_name: String,
    pub roles: Vec<Role>,
    pub created_at: DateTime<Utc>,
}

impl Auth {
    pub async fn profile(&self, member: Uuid) -> Result<Profile, Error> {
        let mut conn = self.db.acquire().await?;
        let row = members::profile(&mut conn, member).await?.ok_or(Error::MemberNotFound)?;
        Ok(Profile {
            member_id: member,
            email: row.email,
            email_verified: row.verified,
            display_name: row.display_name,
            roles: with_member(&row.roles),
            created_at: row.created_at,
        })
    }
}
