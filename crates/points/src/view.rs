//! The answers of the API, and the filters of its lists.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{
    self, Account, Currency, Hold, Issuance, MerchantId, Moved, Rule, Tender, TransferKind,
};

/// An account and its points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountView {
    pub account_id: Uuid,
    pub member_id: Uuid,
    /// Points ever credited.
    pub earned: i64,
    /// Points ever spent.
    pub used: i64,
    /// Points held right now.
    pub held: i64,
    /// `earned - used - held`.
    pub available: i64,
    /// Grows by one with every entry; also the ETag.
    pub version: i64,
    pub opened_at: DateTime<Utc>,
}

/// The effect of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    pub transfer_id: Uuid,
    /// The entry of the account that was credited, or that paid.
    pub entry_id: Uuid,
    pub account_id: Uuid,
    /// Points moved by the command; negative when an adjustment took them away.
    pub points: i64,
    /// Points available after the command.
    pub balance: i64,
    /// The account's version after the command.
    pub version: i64,
}

/// Points held, until they are captured, released or expired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldView {
    pub hold_id: Uuid,
    /// `active`, `captured`, `released` or `expired`.
    #[schema(value_type = String)]
    pub state: HoldState,
    /// Absent, like the fields below, when the hold was released before it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
    /// Points spent; the rest is available again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<i64>,
    /// The transfer of the capture, which can be reversed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The part of a service's price that the points pay, in the minor units of its currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_minor: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    Active,
    Captured,
    Released,
    Expired,
}

/// An earning that was accepted while the ledger could not be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueuedView {
    pub queued_id: Uuid,
    /// `queued`, `applied` or `refused`.
    #[schema(value_type = String)]
    pub state: QueuedState,
    /// The page of its state, which is kept for three days after the earning was applied or refused.
    pub status_url: String,
    /// The effect of an applied earning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// The error code of a refused earning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueuedState {
    Queued,
    Applied,
    Refused,
}

/// The entries of an account to list.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    pub kind: Option<TransferKind>,
    pub from: Option<DateTime<Utc>>,
    /// Exclusive.
    pub to: Option<DateTime<Utc>>,
    pub limit: Option<i64>,
    pub cursor: Option<String>,
}

/// One movement of an account's points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, ToSchema)]
pub struct Entry {
    pub entry_id: Uuid,
    pub transfer_id: Uuid,
    pub kind: String,
    /// Credited when positive, debited when negative.
    pub amount: i64,
    /// Points available after the entry.
    pub balance: i64,
    /// The account's version after the entry.
    pub version: i64,
    pub reference: String,
    pub merchant_id: Option<Uuid>,
    pub occurred_at: DateTime<Utc>,
}

/// A page of entries, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Page {
    pub items: Vec<Entry>,
    /// The cursor of the next page; absent on the last one.
    pub next_cursor: Option<String>,
}

/// A period of an account: `opening + Σ (credited + debited) = closing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Statement {
    pub account_id: Uuid,
    pub from: DateTime<Utc>,
    /// Exclusive.
    pub to: DateTime<Utc>,
    /// Points available before the period.
    pub opening: i64,
    /// The movements of the period by kind. Kinds without a movement are left out.
    pub movements: Vec<Movements>,
    /// Points available after the period.
    pub closing: i64,
}

/// All movements of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Movements {
    pub kind: String,
    pub entries: i64,
    /// The sum of all credits.
    pub credited: i64,
    /// The sum of all debits: negative or 0.
    pub debited: i64,
}

/// A merchant's conversion rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleView {
    pub rule_id: Uuid,
    pub merchant_id: Uuid,
    pub currency: String,
    /// `⌊purchase × points ÷ per_minor⌋`, all in minor units.
    pub points: i64,
    pub per_minor: i64,
    /// Smaller purchases earn nothing.
    pub min_purchase_minor: i64,
    pub valid_from: DateTime<Utc>,
    /// Exclusive; absent means for ever. A rule that was withdrawn before it began ends when it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<DateTime<Utc>>,
}

/// The rules of a merchant to list.
#[derive(Clone, Debug, Default)]
pub struct RuleFilter {
    pub currency: Option<String>,
    pub limit: Option<i64>,
    pub cursor: Option<String>,
}

/// A page of rules, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RulePage {
    pub items: Vec<RuleView>,
    /// The cursor of the next page; absent on the last one.
    pub next_cursor: Option<String>,
}

/// `points` points pay `minor` minor units of the currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TenderView {
    pub currency: String,
    pub points: i64,
    pub minor: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TenderValues {
    /// The unit of account comes first: one point pays one minor unit of it.
    pub items: Vec<TenderView>,
}

/// The limits of a merchant, and the points that it has given away this month (UTC).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct IssuanceView {
    pub merchant_id: Uuid,
    /// The highest share of a purchase that points may be worth.
    pub max_rate_percent: i64,
    pub budget_points: i64,
    pub used_points: i64,
    /// The first day of the month of `used_points`.
    pub month: NaiveDate,
}

impl IssuanceView {
    pub(crate) fn new(merchant: MerchantId, month: NaiveDate, issuance: Issuance) -> Self {
        Self {
            merchant_id: merchant.0,
            max_rate_percent: issuance.bounds.max_rate_percent(),
            budget_points: issuance.bounds.budget_points(),
            used_points: issuance.used,
            month,
        }
    }
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        let balance = account.balance;
        Self {
            account_id: account.id.0,
            member_id: account.member.0,
            earned: balance.earned(),
            used: balance.used(),
            held: balance.held(),
            available: balance.available(),
            version: balance.version(),
            opened_at: account.opened_at,
        }
    }
}

impl From<&Moved> for Receipt {
    fn from(moved: &Moved) -> Self {
        Self {
            transfer_id: moved.transfer.0,
            entry_id: moved.entry,
            account_id: moved.account.0,
            points: moved.points,
            balance: moved.available,
            version: moved.version,
        }
    }
}

impl From<&Hold> for HoldView {
    fn from(hold: &Hold) -> Self {
        let terms = hold.terms.as_ref();
        let (state, capture) = match hold.state {
            domain::HoldState::Active => (HoldState::Active, None),
            domain::HoldState::Captured { captured, transfer } => {
                (HoldState::Captured, Some((captured, transfer)))
            }
            domain::HoldState::Released => (HoldState::Released, None),
            domain::HoldState::Expired => (HoldState::Expired, None),
        };
        Self {
            hold_id: hold.id.0,
            state,
            account_id: terms.map(|terms| terms.account.0),
            points: terms.map(|terms| terms.amount.get()),
            captured: capture.map(|(points, _)| points),
            transfer_id: capture.map(|(_, transfer)| transfer.0),
            reference: terms.map(|terms| terms.reference.as_str().to_owned()),
            value_minor: terms.and_then(|terms| terms.value.as_ref()).map(|value| value.minor),
            expires_at: terms.map(|terms| terms.expires_at),
        }
    }
}

impl From<Rule> for RuleView {
    fn from(rule: Rule) -> Self {
        Self {
            rule_id: rule.id.0,
            merchant_id: rule.merchant.0,
            currency: rule.currency.as_str().to_owned(),
            points: rule.rate.points(),
            per_minor: rule.rate.per_minor(),
            min_purchase_minor: rule.rate.min_minor(),
            valid_from: rule.from,
            valid_until: rule.until,
        }
    }
}

impl From<(Currency, Tender)> for TenderView {
    fn from((currency, tender): (Currency, Tender)) -> Self {
        let currency = currency.as_str().to_owned();
        Self { currency, points: tender.points(), minor: tender.minor() }
    }
}
