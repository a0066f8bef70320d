use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use super::Device;

/// The time after an exchange in which its lost answer may be asked for again. ASVS 10.4.5 read to the letter asks for
/// 0, which would sign out every member whose network drops an answer.
pub const GRACE: Duration = Duration::from_secs(10);

/// The life of a session that is not used.
pub const IDLE_LIFE: Duration = Duration::from_hours(7 * 24);

/// The life of a session, however much it is used.
pub const SESSION_LIFE: Duration = Duration::from_hours(30 * 24);

/// A token that prolongs a session: its id, the number of exchanges before, and 256 bits of proof.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    pub session: Uuid,
    pub generation: i32,
    pub proof: [u8; 32],
}

impl RefreshToken {
    /// Parses a token. `None` when the text cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (session, rest) = bytes.split_first_chunk()?;
        let (generation, proof) = rest.split_first_chunk()?;
        let generation = i32::from_be_bytes(*generation);
        let proof = proof.try_into().ok()?;
        (generation >= 0).then_some(Self { session: Uuid::from_bytes(*session), generation, proof })
    }

    pub fn encode(&self) -> SecretString {
        let bytes =
            [self.session.as_bytes(), &self.generation.to_be_bytes()[..], &self.proof].concat();
        URL_SAFE_NO_PAD.encode(bytes).into()
    }
}

/// Leaves out the proof, which is a secret.
impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshToken").field("session", &self.session).finish_non_exhaustive()
    }
}

/// The state of a session when one of its refresh tokens arrives.
#[derive(Clone, Debug)]
pub struct Renewable {
    pub generation: i32,
    pub rotated_at: DateTime<Utc>,
    /// The earlier of the idle and the absolute end.
    pub expires_at: DateTime<Utc>,
    pub ended: bool,
    /// The device that exchanged the last token.
    pub device: Device,
}

/// The verdict on a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The newest token: it is exchanged.
    Rotate,
    /// Exchanged a moment ago by the same client, so the answer was lost: it is given again.
    Again,
    /// Exchanged before: there is a copy, and its owner cannot be told from the thief.
    Reused,
    Revoked,
    Expired,
}

impl Renewable {
    pub fn judge(&self, generation: i32, device: &Device, now: DateTime<Utc>) -> Renewal {
        let grace = TimeDelta::from_std(GRACE).unwrap_or_default();
        if self.ended {
            Renewal::Revoked
        } else if self.expires_at <= now {
            Renewal::Expired
        } else if generation == self.generation {
            Renewal::Rotate
        } else if generation == self.generation - 1
            && now - self.rotated_at < grace
            && *device == self.device
        {
            Renewal::Again
        } else {
            Renewal::Reused
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn session() -> Renewable {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Renewable {
            generation: 3,
            rotated_at: now,
            expires_at: now + TimeDelta::days(1),
            ended: false,
            device: Device::new("phone"),
        }
    }

    fn judge(generation: i32, device: &str, seconds: i64) -> Renewal {
        let session = session();
        let now = session.rotated_at + TimeDelta::seconds(seconds);
        session.judge(generation, &Device::new(device), now)
    }

    #[test]
    fn only_the_newest_is_exchanged_and_only_the_last_exchange_is_answered_again() {
        assert_eq!(judge(3, "phone", 0), Renewal::Rotate);
        assert_eq!(judge(3, "another", 3600), Renewal::Rotate);
        assert_eq!(judge(2, "phone", 0), Renewal::Again);
        assert_eq!(judge(2, "phone", 9), Renewal::Again);
        assert_eq!(judge(2, "phone", 10), Renewal::Reused);
        assert_eq!(judge(2, "another", 1), Renewal::Reused);
        assert_eq!(judge(1, "phone", 1), Renewal::Reused);
        assert_eq!(judge(4, "phone", 1), Renewal::Reused);
        assert_eq!(judge(3, "phone", 24 * 3600), Renewal::Expired);
        let ended = Renewable { ended: true, ..session() };
        assert_eq!(ended.judge(3, &Device::new("phone"), ended.rotated_at), Renewal::Revoked);
    }

    #[test]
    fn a_token_reads_back_and_nothing_else_is_one() {
        let token = RefreshToken { session: Uuid::max(), generation: 7, proof: [9; 32] };
        let text = token.encode();
        assert_eq!(RefreshToken::parse(text.expose_secret()), Some(token.clone()));
        let text = text.expose_secret();
        for wrong in ["", "x", "=", &text[1..], &format!("{text}AAAA"), &"A".repeat(66)] {
            assert_eq!(RefreshToken::parse(wrong), None, "{wrong}");
        }
        assert!(!format!("{token:?}").contains('9'), "{token:?}");
    }
}
