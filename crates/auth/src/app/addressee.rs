use kit::postgres;
use uuid::Uuid;

use super::{Auth, Error};
use crate::store::members;

/// A member to write to.
#[derive(Debug)]
pub struct Addressee {
    pub display_name: String,
    /// The address, if it is verified.
    pub email: Option<String>,
}

impl Auth {
    /// Finds a member to notify. A disabled account is not found.
    pub async fn addressee(&self, member: Uuid) -> Result<Addressee, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let row = members::addressee(&mut conn, member).await?.ok_or(Error::MemberNotFound)?;
        Ok(Addressee {
            display_name: row.display_name,
            email: Some(row.email).filter(|_| row.verified),
        })
    }
}
