use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use kit::cache::Versioned;
use kit::caller::Role;
use kit::postgres;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::tokens::with_member;
use super::{Auth, Error};
use crate::domain::DisplayName;
use crate::store::members;

/// The age that a cached profile may reach: requirement P14.
pub(super) const TTL: Duration = Duration::from_mins(30);

/// A member's own profile.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Profile {
    pub member_id: Uuid,
    pub email: String,
    /// True when a code that was mailed to the address has been used.
    pub email_verified: bool,
    pub display_name: String,
    pub roles: Vec<Role>,
    pub created_at: DateTime<Utc>,
}

/// Changes a member's name in the version of the profile that was read.
#[derive(Clone, Debug)]
pub struct Rename {
    pub member: Uuid,
    pub name: DisplayName,
    /// The version of the profile that was read.
    pub seen: i64,
}

impl Auth {
    /// Returns the member's own profile: at most half an hour old, and never older than their own last change.
    pub async fn profile(&self, member: Uuid) -> Result<Versioned<Profile>, Error> {
        let load = async {
            let mut conn = postgres::query("acquire", self.db.acquire()).await.map_err(Arc::new)?;
            let row = members::profile(&mut conn, member).await.map_err(Arc::new)?;
            Ok(row.map(|row| versioned(member, row)))
        };
        let found: Result<_, Arc<sqlx::Error>> =
            self.profiles.get_or_load(&member.to_string(), load).await;
        found?.ok_or(Error::MemberNotFound)
    }

    /// Renames a member. Needs no idempotency key: of two requests with one version, one is carried out.
    pub async fn rename(&self, change: Rename) -> Result<Versioned<Profile>, Error> {
        let Rename { member, name, seen } = change;
        let mut tx = postgres::begin(&self.db).await?;
        let version = members::rename(&mut tx, member, &name, seen).await?;
        version.ok_or(Error::VersionConflict)?;
        let row = members::profile(&mut tx, member).await?.ok_or(Error::MemberNotFound)?;
        postgres::commit(tx).await?;
        let profile = versioned(member, row);
        self.profiles.put(&member.to_string(), profile.clone()).await;
        Ok(profile)
    }

    /// Removes a profile from the cache, after a commit that changed it.
    pub(super) async fn forget_profile(&self, member: Uuid) {
        self.profiles.forget(&member.to_string()).await;
    }
}

fn versioned(member: Uuid, row: members::Row) -> Versioned<Profile> {
    let value = Profile {
        member_id: member,
        email: row.email,
        email_verified: row.verified,
        display_name: row.display_name,
        roles: with_member(&row.roles),
        created_at: row.created_at,
    };
    Versioned { version: row.version, value }
}
