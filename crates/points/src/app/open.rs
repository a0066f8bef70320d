use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;

use super::Points;
use crate::domain::{Account, AccountId, MemberId, Refused};
use crate::error::Error;
use crate::store;
use crate::view::AccountView;

impl Points {
    /// Opens the member's account, or answers with the account that exists.
    pub async fn open(&self, member: MemberId, key: Key) -> Result<Answer<AccountView>, Error> {
        let mut work = match command::begin(&self.db, member.0, &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };
        let new = Account::open(AccountId(self.clock.id()), member, self.clock.now());
        let opened = store::open(&mut work, &new).await?;
        let account = store::find_by_member(&mut work, member).await?;
        let account = account.ok_or(Refused::NotFound("account"))?;

        let success = if opened { Success::Created } else { Success::Ok };
        let answer = work.commit(success, AccountView::from(account.clone())).await?;

        self.balances.opened(member, account.id).await;
        self.balances.renew([account]).await;
        Ok(answer)
    }
}
