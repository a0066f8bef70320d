//! Tokens: their claims, how they are signed, and when they are valid.
//!
//! All kinds are EdDSA JWTs. A member's token has the claims of RFC 9068, except that `iss` is a name instead
//! of a URL. Member tokens, service tokens and grants differ in `typ` *and* audience, so that none is
//! accepted as another.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::refused::Refused;
use super::revoked::REMEMBERED;
use super::ring_provider;
use super::role::Role;

/// The issuer of every token.
pub const ISSUER: &str = "auth";

/// The possible audiences of a member's token: the client ids of the services.
pub const SERVICES: [&str; 4] = ["auth", "points", "booking", "incidents"];

/// The `client_id` of every member's token: members sign in at auth itself, with an app of this system.
const FIRST_PARTY: &str = "first_party";

/// Tolerated clock difference, in seconds.
const LEEWAY: i64 = 30;

/// Maximum lifetime of a member's or a service's token, in seconds. A longer one would be accepted again
/// after its ended session is forgotten.
const LONGEST_LIFE: i64 = REMEMBERED.as_secs().cast_signed() - 2 * LEEWAY;

/// Lifetime of a [`Grant`]: longer than any outage that a payment survives without an operator.
pub const GRANT_LIFE: Duration = Duration::from_hours(24);

/// Maximum length of a token, far above any of this system's.
const MAX_BYTES: usize = 4096;

/// One kind of token.
pub trait Claims: Serialize + DeserializeOwned {
    /// The `typ` of the token's header.
    const TYPE: &'static str;
    /// The audience, if all tokens of the kind have the same.
    const AUDIENCE: Option<&'static str>;
    /// Maximum lifetime of a token of this kind, in seconds.
    const LONGEST_LIFE: i64 = LONGEST_LIFE;

    /// Returns the claims about time.
    fn life(&self) -> &Life;
}

/// The RFC 7519 claims that every token has. All are required.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registered<Audience = String> {
    iss: String,
    aud: Audience,
    #[serde(flatten)]
    life: Life,
    jti: Uuid,
}

/// The period in which a token is valid, in seconds since the Unix epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Life {
    exp: i64,
    iat: i64,
    nbf: i64,
}

/// The services named by a member's token.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
struct Services(Vec<String>);

/// The audience of member tokens of the previous version. Remove it with the next release (decision 0017).
const MEMBERS: &str = "members";

impl<'de> Deserialize<'de> for Services {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Audience {
            Of(Vec<String>),
            Before(String),
        }
        match Audience::deserialize(deserializer)? {
            Audience::Of(services) => Ok(Self(services)),
            Audience::Before(name) if name == MEMBERS => Ok(Self(vec![name])),
            Audience::Before(_) => Err(serde::de::Error::custom("the audience is not a list")),
        }
    }
}

/// A member's access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    #[serde(flatten)]
    registered: Registered<Services>,
    /// Empty in tokens of the previous version.
    #[serde(default)]
    client_id: String,
    /// The member's id.
    pub sub: Uuid,
    /// The session in which it was issued. A logout revokes it.
    pub sid: Uuid,
    #[serde(deserialize_with = "known_roles")]
    pub roles: Vec<Role>,
}

/// A service's token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Service {
    #[serde(flatten)]
    registered: Registered,
    /// The service's client id, such as `booking`.
    pub sub: String,
}

/// A member's consent to let one service hold points. Auth signs it when the member confirms, for exactly one
/// service, hold, amount and merchant. It outlives the access token, so that a payment can finish after an
/// outage of points.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grant {
    #[serde(flatten)]
    registered: Registered,
    /// The member's id.
    pub sub: Uuid,
    /// The client id of the service that acts for the member.
    pub act: String,
    pub hold_id: Uuid,
    pub points: i64,
    pub merchant_id: Uuid,
}

impl<Audience> Registered<Audience> {
    /// Creates claims valid from `now` until `expires`.
    fn new(aud: Audience, now: DateTime<Utc>, expires: DateTime<Utc>, jti: Uuid) -> Self {
        let now = now.timestamp();
        let life = Life { exp: expires.timestamp(), iat: now, nbf: now };
        Self { iss: ISSUER.to_owned(), aud, life, jti }
    }
}

impl Life {
    fn check(&self, now: DateTime<Utc>, longest_life: i64) -> Result<(), Refused> {
        let now = now.timestamp();
        if self.nbf.saturating_sub(LEEWAY) > now || self.iat.saturating_sub(LEEWAY) > now {
            return Err(Refused::Invalid);
        }
        if self.exp.saturating_sub(self.iat) > longest_life {
            return Err(Refused::Invalid);
        }
        if self.exp.saturating_add(LEEWAY) <= now {
            return Err(Refused::Expired);
        }
        Ok(())
    }
}

impl Member {
    /// Creates the claims of a member's token for these services. `id` becomes the token's own id, `jti`.
    pub fn new(
        member: Uuid,
        session: Uuid,
        roles: Vec<Role>,
        services: &[&str],
        id: Uuid,
        (now, expires): (DateTime<Utc>, DateTime<Utc>),
    ) -> Self {
        let services = services.iter().map(|&service| service.to_owned()).collect();
        let registered = Registered::new(Services(services), now, expires, id);
        let client_id = FIRST_PARTY.to_owned();
        Self { registered, client_id, sub: member, sid: session, roles }
    }

    /// Returns true when the token names this service.
    pub fn is_for(&self, service: &str) -> bool {
        let named = |name: &str| self.registered.aud.0.iter().any(|named| named == name);
        match self.client_id.as_str() {
            "" => named(MEMBERS) && SERVICES.contains(&service),
            _ => named(service),
        }
    }

    /// Removes the role `operator` if the token is for all services: the previous version put it into every
    /// token.
    pub(super) fn for_all(mut self) -> Self {
        if self.registered.aud.0.iter().any(|named| named == MEMBERS) {
            self.roles.retain(|role| *role != Role::Operator);
        }
        self
    }

    /// Returns the end of the token's life, in seconds since the Unix epoch.
    pub fn expires_at(&self) -> i64 {
        self.registered.life.exp
    }
}

impl Service {
    /// Creates the claims of a service's token. `id` becomes the token's own id, `jti`.
    pub fn new(client: String, id: Uuid, now: DateTime<Utc>, expires: DateTime<Utc>) -> Self {
        let registered = Registered::new("services".to_owned(), now, expires, id);
        Self { registered, sub: client }
    }
}

impl Grant {
    /// Creates the claims of a grant, valid from `now` for [`GRANT_LIFE`]. `id` becomes the token's own id,
    /// `jti`.
    pub fn new(
        member: Uuid,
        service: String,
        hold: (Uuid, i64, Uuid),
        id: Uuid,
        now: DateTime<Utc>,
    ) -> Self {
        let (hold_id, points, merchant_id) = hold;
        let registered = Registered::new("points".to_owned(), now, now + GRANT_LIFE, id);
        Self { registered, sub: member, act: service, hold_id, points, merchant_id }
    }
}

impl Claims for Grant {
    const TYPE: &'static str = "grant+jwt";
    const AUDIENCE: Option<&'static str> = Some("points");
    const LONGEST_LIFE: i64 = GRANT_LIFE.as_secs().cast_signed();

    fn life(&self) -> &Life {
        &self.registered.life
    }
}

impl Claims for Member {
    const TYPE: &'static str = "at+jwt";
    const AUDIENCE: Option<&'static str> = None;

    fn life(&self) -> &Life {
        &self.registered.life
    }
}

impl Claims for Service {
    const TYPE: &'static str = "st+jwt";
    const AUDIENCE: Option<&'static str> = Some("services");

    fn life(&self) -> &Life {
        &self.registered.life
    }
}

/// Ignores unknown roles: a newer auth may have more.
fn known_roles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Role>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// An Ed25519 key that signs tokens. Only auth and tests have one.
#[derive(Clone)]
pub struct SigningKey {
    kid: String,
    key: EncodingKey,
    public_key: [u8; 32],
}

impl SigningKey {
    /// Creates the key from a 32-byte seed, which is the whole secret.
    pub fn from_seed(kid: String, seed: &[u8; 32]) -> anyhow::Result<Self> {
        /// RFC 8410: a PKCS#8 v1 envelope around an Ed25519 seed.
        const PKCS8: [u8; 16] =
            [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

        ring_provider::install();
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)?;
        let public_key = pair.public_key().as_ref().try_into()?;
        let key = EncodingKey::from_ed_der(&[PKCS8.as_slice(), seed].concat());
        Ok(Self { kid, key, public_key })
    }

    /// Returns the key's id, which is in the header of its tokens.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Returns the 32 raw bytes of the public key.
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// Signs a token with these claims.
    pub fn sign<C: Claims>(&self, claims: &C) -> anyhow::Result<String> {
        let header = Header {
            typ: Some(C::TYPE.to_owned()),
            kid: Some(self.kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        Ok(jsonwebtoken::encode(&header, claims, &self.key)?)
    }
}

/// Returns the key id of a token, if its header has the form of ours.
pub(super) fn key_id<C: Claims>(token: &str) -> Result<String, Refused> {
    if token.len() > MAX_BYTES {
        return Err(Refused::Invalid);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Invalid)?;
    // Keys come from auth, never from the token.
    let brings_keys = header.jku.is_some()
        || header.jwk.is_some()
        || header.x5u.is_some()
        || header.x5c.is_some()
        || header.crit.is_some();
    if brings_keys || header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(C::TYPE) {
        return Err(Refused::Invalid);
    }
    header.kid.ok_or(Refused::Invalid)
}

/// Returns the claims of a token that is valid at `now`.
pub(super) fn verify<C: Claims>(
    token: &str,
    key: &DecodingKey,
    now: DateTime<Utc>,
) -> Result<C, Refused> {
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    rules.set_issuer(&[ISSUER]);
    match C::AUDIENCE {
        Some(audience) => rules.set_audience(&[audience]),
        // The caller checks the audience.
        None => rules.validate_aud = false,
    }
    // `Life` checks the times, with our clock; its types are strict.
    rules.validate_exp = false;

    let claims =
        jsonwebtoken::decode::<C>(token, key, &rules).map_err(|_| Refused::Invalid)?.claims;
    in_time(claims, now)
}

/// Returns the claims of an already verified token, if it is valid at `now`.
pub(super) fn in_time<C: Claims>(claims: C, now: DateTime<Utc>) -> Result<C, Refused> {
    claims.life().check(now, C::LONGEST_LIFE)?;
    Ok(claims)
}
