use super::Points;
use crate::domain::{AccountRef, Actor, Refused};
use crate::error::Error;
use crate::view::AccountView;

impl Points {
    /// An account as it was at most five minutes ago, and never before the caller's own last write.
    /// No command may decide from it.
    pub async fn balance(&self, by: &Actor, account: AccountRef) -> Result<AccountView, Error> {
        let found = self.balances.find(account).await?;
        let visible = found.filter(|account| by.may_use_account_of(account.member));
        Ok(visible.map(AccountView::from).ok_or(Refused::NotFound("account"))?)
    }
}
