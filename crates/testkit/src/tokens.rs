//! Signs what auth would sign, with a key that everyone here knows.

use chrono::{DateTime, TimeDelta, Utc};
use kit::Clock;
use kit::caller::token::{Grant, Member, SERVICES, Service, SigningKey};
use kit::caller::{Role, Verifier};
use uuid::Uuid;

/// Stands in for auth: its tokens are valid for its [`Issuer::verifier`].
#[derive(Clone)]
pub struct Issuer {
    key: SigningKey,
    clock: Clock,
}

impl Issuer {
    /// Issues by the machine's clock.
    pub fn new() -> Self {
        Self::at(Clock::system())
    }

    /// Issues, and verifies, by this clock.
    pub fn at(clock: Clock) -> Self {
        Self::with_key("test-key", [7; 32], clock)
    }

    /// Signs with the key that grows from `seed`, named `kid`.
    ///
    /// # Panics
    /// Never: every 32 bytes are a seed.
    pub fn with_key(kid: &str, seed: [u8; 32], clock: Clock) -> Self {
        let key = SigningKey::from_seed(kid.to_owned(), &seed).expect("32 bytes are a seed");
        Self { key, clock }
    }

    /// A verifier that holds the public key, for `kit::http::edge` and `kit::grpc::guard`.
    pub fn verifier(&self) -> Verifier {
        let verifier = Verifier::empty("auth", self.clock.clone());
        verifier.set_keys(self.keys());
        verifier
    }

    /// `(kid, public key)`, as auth publishes them.
    pub fn keys(&self) -> Vec<(String, Vec<u8>)> {
        vec![(self.key.kid().to_owned(), self.key.public_key().to_vec())]
    }

    /// The key itself, to sign what no auth would.
    pub fn signing_key(&self) -> &SigningKey {
        &self.key
    }

    /// The access token of a plain member.
    pub fn member(&self, id: Uuid) -> String {
        self.with_roles(id, &[Role::Member])
    }

    /// The access token of a member with exactly these roles. It names all services, also for an operator.
    pub fn with_roles(&self, id: Uuid, roles: &[Role]) -> String {
        self.member_until(id, roles, self.clock.now() + TimeDelta::minutes(5))
    }

    /// An access token that was valid until a minute ago, which is beyond every leeway.
    pub fn expired(&self, id: Uuid) -> String {
        self.member_until(id, &[Role::Member], self.clock.now() - TimeDelta::minutes(1))
    }

    /// The service token of this service.
    ///
    /// # Panics
    /// When the token cannot be signed.
    pub fn service(&self, name: &str) -> String {
        let now = self.clock.now();
        let expires = now + TimeDelta::minutes(5);
        let claims = Service::new(name.to_owned(), self.clock.id(), now, expires);
        self.key.sign(&claims).expect("sign a service token")
    }

    /// The grant of a member to `service`: it may hold `points` for `merchant` under the id `hold`.
    ///
    /// # Panics
    /// When the grant cannot be signed.
    pub fn grant(
        &self,
        member: Uuid,
        service: &str,
        hold: Uuid,
        points: i64,
        merchant: Uuid,
    ) -> String {
        let terms = (hold, points, merchant);
        let claims =
            Grant::new(member, service.to_owned(), terms, self.clock.id(), self.clock.now());
        self.key.sign(&claims).expect("sign a grant")
    }

    fn member_until(&self, id: Uuid, roles: &[Role], expires: DateTime<Utc>) -> String {
        let issued = expires - TimeDelta::minutes(5);
        let (session, token) = (self.clock.id(), self.clock.id());
        let life = (issued, expires);
        let claims = Member::new(id, session, roles.to_vec(), &SERVICES, token, life);
        self.key.sign(&claims).expect("sign an access token")
    }
}

impl Default for Issuer {
    fn default() -> Self {
        Self::new()
    }
}
