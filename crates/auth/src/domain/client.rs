use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::{Device, Network};

/// The origin of a request, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub device: Device,
    pub network: Option<Network>,
    /// The token from an earlier login, not yet verified.
    pub known: Option<DeviceToken>,
}

/// Proves that a member has signed in on a device before, so that strangers' wrong guesses do not lock it out. It
/// gives access to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceToken {
    pub id: Uuid,
    pub proof: [u8; 32],
}

impl DeviceToken {
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (id, proof) = bytes.split_first_chunk()?;
        Some(Self { id: Uuid::from_bytes(*id), proof: proof.try_into().ok()? })
    }

    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode([&self.id.as_bytes()[..], &self.proof].concat())
    }
}
