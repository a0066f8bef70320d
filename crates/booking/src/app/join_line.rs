//! A member proves who they are at LINE: a code goes to the id that they name, and only whoever reads the messages
//! of that id can bring it back.

use kit::{command, postgres};
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::sleep;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{LineCode, LineUserId};
use crate::peers::{Push, Pushed};
use crate::store::{self, MostCodes, NewCode};

/// The codes that one merchant's channel sends within an hour. A LINE user may be sent those of several members, so
/// that a stranger who names their id does not use up the codes of the member whose it is.
const CODES_PER_HOUR: MostCodes = MostCodes { of_member: 3, to_user: 30 };

impl Bookings {
    /// Sends a code to this user of the merchant's channel. Nothing else changes until it comes back, within ten
    /// minutes.
    pub async fn join_line(
        &self,
        member: Uuid,
        merchant: Uuid,
        user: LineUserId,
    ) -> Result<(), Error> {
        let this = self.clone();
        command::run(async move {
            let seal = this.seal.as_ref().ok_or(Error::LineNotConfigured)?;
            let (line, pace) = this.line.as_ref().ok_or(Error::LineNotConfigured)?;
            let mut tx = postgres::begin(&this.db).await?;
            let channel = store::channel_of_merchant(&mut tx, merchant).await?;
            let (name, sealed) = channel.ok_or(Error::UnknownMerchant)?;
            let token = seal.open(merchant, &sealed).map_err(Error::Seal)?;
            let code = draw()?;
            let code_id = this.clock.id();
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
            // It counts from now on, whether or not LINE takes it.
            postgres::commit(tx).await?;
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
        })
        .await
    }

    /// Takes the code that came back: from now on the member is told by LINE. Five tries each.
    pub async fn prove_line(
        &self,
        member: Uuid,
        merchant: Uuid,
        brought: SecretString,
    ) -> Result<(), Error> {
        let this = self.clone();
        command::run(async move {
            let seal = this.seal.as_ref().ok_or(Error::LineNotConfigured)?;
            let mut tx = postgres::begin(&this.db).await?;
            let sent = store::try_code(&mut tx, merchant, member).await?;
            let sent = sent.ok_or(Error::WrongLineCode)?;
            let code = seal.open(merchant, &sent.code).map_err(Error::Seal)?;
            let is_right = code.expose_secret() == brought.expose_secret();
            if is_right {
                store::upsert_contact(&mut tx, &sent).await?;
            }
            postgres::commit(tx).await?; // a wrong one has cost a try
            if is_right { Ok(()) } else { Err(Error::WrongLineCode) }
        })
        .await
    }
}

fn draw() -> Result<LineCode, Error> {
    let mut random = [0; 8];
    let drawn = SystemRandom::new().fill(&mut random);
    drawn.map_err(|_| Error::Seal(anyhow::anyhow!("no randomness")))?;
    Ok(LineCode::from_random(u64::from_le_bytes(random)))
}
