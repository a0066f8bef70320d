use std::time::Duration;

use kit::caller::token::Service;
use kit::postgres;
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};

use super::audit::log as audit;
use super::{Auth, Error};
use crate::domain::{Actor, SERVICE_TOKEN_LIFE};
use crate::keyring::random;
use crate::metrics;
use crate::store::clients::{self, SecretHash};
use crate::store::events::Event;

/// The secret of a service client, too long to be guessed.
#[derive(Clone, Debug)]
pub struct ClientSecret(SecretString);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client secret must have at least 32 bytes")]
pub struct WeakSecret;

impl ClientSecret {
    pub fn new(text: SecretString) -> Result<Self, WeakSecret> {
        if text.expose_secret().len() < 32 { Err(WeakSecret) } else { Ok(Self(text)) }
    }
}

/// A token with which a service identifies itself to the others.
#[derive(Debug)]
pub struct ServiceToken {
    pub token: SecretString,
    pub expires_in: Duration,
}

impl Auth {
    /// Exchanges a client's secret for a short-lived token (OAuth's client credentials).
    pub async fn service_token(
        &self,
        client: &str,
        secret: &SecretString,
    ) -> Result<ServiceToken, Error> {
        let mut conn = self.db.acquire().await?;
        let kept = clients::secret(&mut conn, client).await?;
        drop(conn);
        // In constant time.
        let right = |kept: &SecretHash| {
            let given = secret.expose_secret().as_bytes();
            hmac::verify(&salted(&kept.salt), given, &kept.hash).is_ok()
        };
        if !kept.as_ref().is_some_and(right) {
            let event = Event::new("client_refused", Actor::Stranger);
            // An unknown name may be any text, so it is not logged.
            audit(&if kept.is_some() { event.to_client(client) } else { event });
            metrics::refused("client_secret");
            return Err(Error::InvalidClient);
        }

        let (id, now) = (self.clock.id(), self.clock.now());
        let claims = Service::new(client.to_owned(), id, now, now + SERVICE_TOKEN_LIFE);
        let token = self.keys.current().signer.sign(&claims).map_err(Error::Internal)?;
        Ok(ServiceToken { token: token.into(), expires_in: SERVICE_TOKEN_LIFE })
    }

    /// Creates a service client, or replaces its secret. Its tokens stay valid until they expire.
    pub async fn put_client(&self, client: &str, secret: &ClientSecret) -> anyhow::Result<()> {
        let salt: [u8; 16] = random()?;
        let hash = hmac::sign(&salted(&salt), secret.0.expose_secret().as_bytes());
        let hash = SecretHash { salt: salt.to_vec(), hash: hash.as_ref().to_vec() };
        let mut tx = postgres::begin(&self.db).await?;
        clients::put(&mut tx, client, &hash, self.clock.now()).await?;
        let event = Event::new("client_secret_set", Actor::CommandLine).to_client(client);
        self.record(&mut tx, event).await?;
        postgres::commit(tx).await?;
        tracing::info!(client_id = client, "client secret set");
        Ok(())
    }
}

fn salted(salt: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, salt)
}
