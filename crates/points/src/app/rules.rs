//! Conversion rules: what a purchase at a merchant is worth, and when.
//!
//! A rule is never rewritten and never reaches into the past, so an earning that is applied late, after
//! an outage, still finds the rate of its own moment.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use kit::cache::Versioned;
use kit::error::Fields;
use kit::idempotency::{self, Answer, Key};
use kit::{ApiError, command, page, postgres};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::issuance::month;
use super::merchants::{owned, sold};
use super::{Error, Points};
use crate::domain::{Actor, Currency, Issuance, MemberId, MerchantId, Rate, Refused, Rule, RuleId};
use crate::{metrics, store};

/// How long a merchant's rules may be answered from the cache. Forgotten after every change.
pub(super) const TTL: Duration = Duration::from_hours(1);

/// For how long after its end a rule is still found in the cache.
const RECENT: TimeDelta = TimeDelta::days(1);

/// A rule to be.
#[derive(Clone, Debug)]
pub struct NewRule {
    pub merchant: MerchantId,
    pub currency: Currency,
    pub rate: Rate,
    /// From now when `None`.
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    pub by: MemberId,
}

/// What a caller asks for, as it was sent. `None`: not a whole number.
#[derive(Clone, Debug)]
pub struct AskedRule {
    pub currency: Option<String>,
    pub points: Option<i64>,
    pub per_minor: Option<i64>,
    pub min_minor: Option<i64>,
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

/// What a purchase at a merchant is worth, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
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
    /// Exclusive; absent is for ever. A rule that was withdrawn before it began ends when it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<DateTime<Utc>>,
}

/// Newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RulePage {
    pub items: Vec<RuleView>,
    /// Where the next page starts; absent on the last one.
    pub next_cursor: Option<String>,
}

/// Which of a merchant's rules to list, and how many.
#[derive(Clone, Debug, Default)]
pub struct RuleFilter {
    pub currency: Option<String>,
    pub limit: Option<i64>,
    pub cursor: Option<String>,
}

impl NewRule {
    /// The rule, or an error that names every wrong field.
    pub fn try_new(
        merchant: Uuid,
        by: Uuid,
        asked: AskedRule,
        unit: &Currency,
    ) -> Result<Self, ApiError> {
        let mut fields = Fields::new();
        let currency = asked.currency.map_or_else(|| Ok(unit.clone()), Currency::new);
        let currency = fields.check("currency", "invalid_currency", currency);
        let mut whole = |name: &'static str, value: Option<i64>, max: i64| {
            let value = value.filter(|value| (1..=max).contains(value)).ok_or(Refused::Rate);
            fields.check(name, "invalid_rate", value)
        };
        let points = whole("points", asked.points, Rate::MAX_POINTS);
        let per_minor = whole("per_minor", asked.per_minor, Rate::MAX_PER_MINOR);
        let min_minor = whole("min_purchase_minor", asked.min_minor, Rate::MAX_MIN_MINOR);
        // Years that chrono knows and PostgreSQL does not.
        for (name, time) in [("valid_from", asked.from), ("valid_until", asked.until)] {
            if time.is_some_and(|time| !(0..=9_999).contains(&time.year())) {
                fields.add(name, "invalid_period", Refused::RulePeriod);
            }
        }
        let (merchant, by) = (MerchantId(merchant), MemberId(by));
        fields.done(|| {
            let rate = Rate::new(points?, per_minor?, min_minor?).ok()?;
            let (from, until) = (asked.from, asked.until);
            Some(Self { merchant, currency: currency?, rate, from, until, by })
        })
    }
}

impl Points {
    /// Sets a rate from now on, or from later on, as a merchant's owner. 409 when another rule applies in
    /// that time.
    pub async fn create_rule(&self, actor: Actor, key: Key, new: NewRule) -> Result<Answer, Error> {
        let points = self.clone();
        command::run(async move {
            let principal = new.by.0.to_string();
            let now = points.clock.now();
            let from = new.from.unwrap_or(now);
            let id = RuleId(points.clock.id());
            let NewRule { merchant, currency, rate, until, by, .. } = new;
            let rule = Rule { id, merchant, currency, rate, from, until };

            let mut tx = postgres::begin(&points.db).await?;
            owned(&mut tx, &actor, merchant).await?;
            if let Some(answer) = idempotency::claim(&mut tx, &principal, &key).await? {
                return Ok(answer);
            }
            if rule.from < now || rule.until.is_some_and(|until| until <= rule.from) {
                return Err(Refused::RulePeriod.into());
            }
            let Issuance { bounds, .. } = points.given(&mut tx, rule.merchant, month(now)).await?;
            // Without a tender value nothing is earned by purchase there, whatever the rule says.
            if let Some(tender) = points.tender(&mut tx, &rule.currency).await?
                && let Err(refused) = bounds.permit(rule.rate, tender)
            {
                let error = Error::from(refused);
                metrics::issuance_refused(&error);
                return Err(error);
            }
            if !store::add_rule(&mut tx, &rule, by, now).await? {
                return Err(Refused::RuleOverlaps.into());
            }
            let answer = Answer::json(StatusCode::CREATED, &RuleView::from(rule.clone()));
            idempotency::record(&mut tx, &principal, &key, &answer).await?;
            postgres::commit(tx).await?;

            points.rules.forget(&cached(merchant, &rule.currency)).await;
            Ok(answer)
        })
        .await
    }

    /// Ends a rule, now or later; one that has not begun is withdrawn.
    pub async fn end_rule(
        &self,
        actor: Actor,
        by: MemberId,
        key: Key,
        id: RuleId,
        at: Option<DateTime<Utc>>,
    ) -> Result<Answer, Error> {
        let points = self.clone();
        command::run(async move {
            let principal = by.0.to_string();
            let mut tx = postgres::begin(&points.db).await?;
            if let Some(answer) = idempotency::claim(&mut tx, &principal, &key).await? {
                return Ok(answer);
            }
            let now = points.clock.now();
            let rule = store::lock_rule(&mut tx, id).await?.ok_or(Error::NotFound)?;
            owned(&mut tx, &actor, rule.merchant).await?;
            let ended = rule.ended(at, now)?;
            if ended.until == Some(ended.from) {
                store::withdraw_rule(&mut tx, id).await?;
            } else {
                store::end_rule(&mut tx, &ended, now).await?;
            }
            let answer = Answer::json(StatusCode::OK, &RuleView::from(ended.clone()));
            idempotency::record(&mut tx, &principal, &key, &answer).await?;
            postgres::commit(tx).await?;

            points.rules.forget(&cached(ended.merchant, &ended.currency)).await;
            Ok(answer)
        })
        .await
    }

    /// A page of a merchant's rules, those that are over included, for whoever belongs to it.
    pub async fn rules(
        &self,
        actor: Actor,
        merchant: MerchantId,
        filter: RuleFilter,
    ) -> Result<RulePage, Error> {
        let limit = page::limit(filter.limit)?;
        let currency = filter.currency.clone().map(Currency::new).transpose()?;
        let before = match &filter.cursor {
            None => None,
            Some(cursor) => match page::key::<(Uuid, Uuid)>(cursor)? {
                (of, id) if of == merchant.0 => Some(RuleId(id)),
                _ => return Err(page::Error::Cursor.into()),
            },
        };
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        sold(&mut conn, &actor, merchant).await?;
        let rules =
            store::list_rules(&mut conn, merchant, currency.as_ref(), before, limit + 1).await?;
        let (rules, next_cursor) = page::split(rules, limit, |rule| (merchant.0, rule.id.0));
        Ok(RulePage { items: rules.into_iter().map(RuleView::from).collect(), next_cursor })
    }

    /// A merchant's rules that were not over then, as they were at most an hour ago, or at the last change.
    pub(super) async fn rules_of(
        &self,
        merchant: MerchantId,
        currency: &Currency,
        at: DateTime<Utc>,
    ) -> Result<Vec<Rule>, Error> {
        let recent = self.clock.now() - RECENT;
        if at < recent {
            // Rare: whoever tells us was away for long.
            let mut conn = postgres::query("acquire", self.db.acquire()).await?;
            return Ok(store::rules_since(&mut conn, merchant, currency, at).await?.1);
        }
        let load = async {
            let mut conn = postgres::query("acquire", self.db.acquire()).await.map_err(Arc::new)?;
            let (version, rules) = store::rules_since(&mut conn, merchant, currency, recent)
                .await
                .map_err(Arc::new)?;
            // None of its own is an answer too, and worth keeping.
            Ok::<_, Arc<sqlx::Error>>(Some(Versioned { version, value: rules }))
        };
        let found = self.rules.get_or_load(&cached(merchant, currency), load).await?;
        let rules = found.map(|found| found.value).unwrap_or_default();
        // A cache's words: a rule of somebody else is none.
        let ours = |rule: &Rule| rule.merchant == merchant && rule.currency == *currency;
        Ok(rules.into_iter().filter(ours).collect())
    }
}

fn cached(merchant: MerchantId, currency: &Currency) -> String {
    format!("{}:{}", merchant.0, currency.as_str())
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
