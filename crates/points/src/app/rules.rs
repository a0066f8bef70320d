//! Conversion rules: the points that purchases at a merchant earn.
//!
//! A rule is never rewritten and never applies to the past, so an earning that is applied late, after an outage,
//! still finds the rate of its own moment.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use kit::cache::Versioned;
use kit::command::{self, Answer, Begun, Success};
use kit::error::Fields;
use kit::idempotency::Key;
use kit::{ApiError, page, postgres};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Points;
use super::merchants::{is_member, is_owner};
use crate::domain::{Actor, Currency, Issuance, MemberId, MerchantId, Rate, Refused, Rule, RuleId};
use crate::error::Error;
use crate::view::{RuleFilter, RulePage, RuleView};
use crate::{metrics, store};

/// The time that cached rules may be used. They are forgotten after every change.
pub(super) const TTL: Duration = Duration::from_hours(1);

/// The time that the cache still has a rule after its end.
const RECENT: TimeDelta = TimeDelta::days(1);

/// A rule to create.
#[derive(Clone, Debug)]
pub struct NewRule {
    pub merchant: MerchantId,
    pub currency: Currency,
    pub rate: Rate,
    /// `None` is now.
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    pub by: MemberId,
}

/// A rule as it was asked for. `None` in a number was not a whole number.
#[derive(Clone, Debug)]
pub struct AskedRule {
    pub currency: Option<String>,
    pub points: Option<i64>,
    pub per_minor: Option<i64>,
    pub min_minor: Option<i64>,
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
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
        // chrono knows years that PostgreSQL does not.
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
    /// Sets a merchant's rate, from now or from later on. For the merchant's owner.
    pub async fn create_rule(
        &self,
        actor: Actor,
        key: Key,
        new: NewRule,
    ) -> Result<Answer<RuleView>, Error> {
        let mut work = match command::begin(&self.db, new.by.0, &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };
        let now = self.clock.now();
        let NewRule { merchant, currency, rate, from, until, by } = new;
        let (id, from) = (RuleId(self.clock.id()), from.unwrap_or(now));
        let rule = Rule { id, merchant, currency, rate, from, until };
        if !is_owner(&mut work, &actor, merchant).await? {
            return Err(Refused::NotFound("merchant").into());
        }
        if rule.from < now || rule.until.is_some_and(|until| until <= rule.from) {
            return Err(Refused::RulePeriod.into());
        }
        self.check_rate(&mut work, &rule, now).await?;
        if !store::add_rule(&mut work, &rule, by, now).await? {
            return Err(Refused::RuleOverlaps.into());
        }
        let cached = cache_key(merchant, &rule.currency);
        let answer = work.commit(Success::Created, RuleView::from(rule)).await?;

        self.rules.forget(&cached).await;
        Ok(answer)
    }

    /// Refuses a rate above the merchant's limit. In a currency without a tender value no purchase earns, so any
    /// rate is allowed.
    async fn check_rate(
        &self,
        conn: &mut PgConnection,
        rule: &Rule,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let month = Issuance::month(now);
        let Issuance { bounds, .. } = self.issuance_of(conn, rule.merchant, month).await?;
        if let Some(tender) = self.tender(conn, &rule.currency).await?
            && let Err(refused) = bounds.permit(rule.rate, tender)
        {
            let error = Error::from(refused);
            metrics::issuance_refused(&error);
            return Err(error);
        }
        Ok(())
    }

    /// Ends a rule, now or later. A rule that has not begun is withdrawn.
    pub async fn end_rule(
        &self,
        actor: Actor,
        by: MemberId,
        key: Key,
        id: RuleId,
        at: Option<DateTime<Utc>>,
    ) -> Result<Answer<RuleView>, Error> {
        let mut work = match command::begin(&self.db, by.0, &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };
        let now = self.clock.now();
        let rule = store::lock_rule(&mut work, id).await?.ok_or(Refused::NotFound("rule"))?;
        if !is_owner(&mut work, &actor, rule.merchant).await? {
            return Err(Refused::NotFound("rule").into());
        }
        let ended = rule.ended(at, now)?;
        if ended.until == Some(ended.from) {
            store::withdraw_rule(&mut work, id).await?;
        } else {
            store::end_rule(&mut work, &ended, now).await?;
        }
        let cached = cache_key(ended.merchant, &ended.currency);
        let answer = work.commit(Success::Ok, RuleView::from(ended)).await?;

        self.rules.forget(&cached).await;
        Ok(answer)
    }

    /// A page of a merchant's rules, with those that have ended. For the merchant's members.
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
        if !is_member(&mut conn, &actor, merchant).await? {
            return Err(Refused::NotFound("merchant").into());
        }
        let rules =
            store::list_rules(&mut conn, merchant, currency.as_ref(), before, limit + 1).await?;
        let (rules, next_cursor) = page::split(rules, limit, |rule| (merchant.0, rule.id.0));
        Ok(RulePage { items: rules.into_iter().map(RuleView::from).collect(), next_cursor })
    }

    /// A merchant's rules that had not ended at that moment. They are at most an hour old, and never older than
    /// the last change.
    pub(super) async fn rules_of(
        &self,
        merchant: MerchantId,
        currency: &Currency,
        at: DateTime<Utc>,
    ) -> Result<Vec<Rule>, Error> {
        let recent = self.clock.now() - RECENT;
        if at < recent {
            // Rare: the service that reports the purchase was away for long.
            let mut conn = postgres::query("acquire", self.db.acquire()).await?;
            return Ok(store::rules_since(&mut conn, merchant, currency, at).await?.1);
        }
        let load = async {
            let mut conn = postgres::query("acquire", self.db.acquire()).await.map_err(Arc::new)?;
            let (version, rules) = store::rules_since(&mut conn, merchant, currency, recent)
                .await
                .map_err(Arc::new)?;
            // An empty list is worth caching too.
            Ok::<_, Arc<sqlx::Error>>(Some(Versioned { version, value: rules }))
        };
        let found = self.rules.get_or_load(&cache_key(merchant, currency), load).await?;
        let rules = found.map(|found| found.value).unwrap_or_default();
        // The cache is not trusted: rules of another merchant are ignored.
        let ours = |rule: &Rule| rule.merchant == merchant && rule.currency == *currency;
        Ok(rules.into_iter().filter(ours).collect())
    }
}

fn cache_key(merchant: MerchantId, currency: &Currency) -> String {
    format!("{}:{}", merchant.0, currency.as_str())
}
