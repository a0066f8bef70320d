use kit::postgres;
use uuid::Uuid;

use super::{Auth, Error};
use crate::store::members;

/// Whom to write to, and how to call them.
#[derive(Debug)]
pub struct Addressee {
    pub display_name: String,
    /// Only an address that its owner has verified.
    pub email: Option<String>,
}

impl Auth {
    /// For services that notify members. Nobody with a disabled account is written to.
    pub async fn addressee(&self, member: Uuid) -> Result<Addressee, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let row = members::addressee(&mut conn, member).await?.ok_or(Error::MemberNotFound)?;
        Ok(Addressee {
            display_name: row.display_name,
            email: Some(row.email).filter(|_| row.verified),
        })
    }
}
