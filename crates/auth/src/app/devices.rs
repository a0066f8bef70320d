use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Auth, Error};
use crate::domain::{Client, DeviceToken, Email};
use crate::store::devices;

/// The keyring's purpose for the proof in a device's token.
const PURPOSE: &str = "device";

impl Auth {
    /// Returns the device of a request, if the member with this address has signed in on it lately with the current
    /// password. The database is asked only for a genuine token.
    pub(super) async fn known_device(
        &self,
        email: &Email,
        client: &Client,
    ) -> Result<Option<DeviceToken>, Error> {
        let Some(device) = client.known.as_ref() else { return Ok(None) };
        if !self.keyring.has_blinded(PURPOSE, &signed_in(email, device.id), &device.proof) {
            return Ok(None);
        }
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let known = devices::is_known(&mut conn, device.id, email).await?;
        Ok(known.then(|| device.clone()))
    }

    /// Records a login on a device, and returns the token for its next login.
    pub(super) async fn remember_device(
        &self,
        tx: &mut PgConnection,
        known: Option<&DeviceToken>,
        email: &Email,
        member: Uuid,
        password_of: DateTime<Utc>,
    ) -> Result<DeviceToken, Error> {
        let device = known.cloned().unwrap_or_else(|| {
            let id = self.clock.id();
            DeviceToken { id, proof: self.keyring.blind(PURPOSE, &signed_in(email, id)) }
        });
        devices::used(tx, device.id, member, password_of).await?;
        Ok(device)
    }
}

fn signed_in(email: &Email, device: Uuid) -> Vec<u8> {
    [device.as_bytes(), email.as_str().as_bytes()].concat()
}
