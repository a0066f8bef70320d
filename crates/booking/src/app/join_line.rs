//! Connecting a member with LINE. A code is sent to the LINE user that they name, and only a reader of that user's
//! messages can bring it back.

use kit::postgres;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::sleep;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{LineCode, LineUserId};
use crate::peers::{Push, Pushed};
use crate::store::{self, CodeLimits, NewCode};

/// The codes that a merchant's channel sends within an hour. A LINE user may get codes of several members, so that a
/// stranger who names their id does not use up the codes of the right member.
const CODES_PER_HOUR: CodeLimits = CodeLimits { of_member: 3, to_user: 30 };

impl Bookings {
    /// Sends a code to a LINE user of the merchant's channel. It is valid for ten minutes, and nothing changes until
    /// it comes back.
    pub async fn join_line(
        &self,
        member: Uuid,
        merchant: Uuid,
        user: LineUserId,
    ) -> Result<(), Error> {
        let seal = self.seal.as_ref().ok_or(Error::LineNotConfigured)?;
        let (line, pace) = self.line.as_ref().ok_or(Error::LineNotConfigured)?;
        let mut tx = postgres::begin(&self.db).await?;
        let channel = store::channel_of_merchant(&mut tx, merchant).await?;
        let (name, sealed) = channel.ok_or(Error::UnknownMerchant)?;
        let token = seal.open(merchant, &sealed).map_err(Error::Seal)?;
        let code = draw()?;
        let code_id = self.clock.id();
        let sealed = seal.seal(merchant, code.as_str()).map_err(Error::Seal)?;
        let new = NewCode {
            code_id,
            merchant_id: merchant,
            member_id: member,
            user: &user,
            sealed: &sealed,
        };
        if !store::insert_code(&mut tx, &new, CODES_PER_HOUR).await? {
            return Err(Error::TooManyLineCodes);
        }
        postgres::commit(tx).await?; // from here on it counts, even if LINE fails
        sleep(pace.turn().await.ok_or(Error::LineUnavailable)?).await;
        let text = code.text(&name);
        let push = Push { token: &token, retry_key: code_id, to: user.as_str(), text: &text };
        match line.push(push).await {
            Pushed::Sent => Ok(()),
            Pushed::Refused(reason) | Pushed::Failed(reason) => {
                tracing::warn!(merchant.id = %merchant, reason, "code not sent");
                Err(Error::LineUnavailable)
            }
            Pushed::NotTried(_) => Err(Error::LineUnavailable),
        }
    }

    /// Checks the code that the member brings, and connects them with LINE. Each code has five tries.
    pub async fn prove_line(
        &self,
        member: Uuid,
        merchant: Uuid,
        brought: SecretString,
    ) -> Result<(), Error> {
        let seal = self.seal.as_ref().ok_or(Error::LineNotConfigured)?;
        let mut tx = postgres::begin(&self.db).await?;
        let sent = store::try_code(&mut tx, merchant, member).await?;
        let sent = sent.ok_or(Error::WrongLineCode)?;
        let code = seal.open(merchant, &sent.code).map_err(Error::Seal)?;
        let is_right = code.expose_secret() == brought.expose_secret();
        if is_right {
            store::upsert_contact(&mut tx, &sent).await?;
        }
        postgres::commit(tx).await?; // a wrong code uses up a try
        if is_right { Ok(()) } else { Err(Error::WrongLineCode) }
    }
}

fn draw() -> Result<LineCode, Error> {
    let mut random = [0; 8];
    let drawn = SystemRandom::new().fill(&mut random);
    drawn.map_err(|_| Error::Seal(anyhow::anyhow!("random number generator failed")))?;
    Ok(LineCode::from_random(u64::from_le_bytes(random)))
}
