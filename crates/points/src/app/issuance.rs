//! What a point is worth, and how many of them a merchant may give away: both are set by operators.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use kit::error::Fields;
use kit::{ApiError, Caller, jobs, postgres};
use serde::Serialize;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use uuid::Uuid;

use super::merchants::owned;
use super::{Error, Points, actor};
use crate::domain::{Bounds, Currency, Issuance, MemberId, MerchantId, Refused, Tender};
use crate::{metrics, store};

/// How often it is measured how much of the budgets is used.
const PERIOD: Duration = Duration::from_secs(30);

/// What the deployment says: its unit of account, and the bounds of merchants without others.
#[derive(Clone, Debug, Default)]
pub struct Issuing {
    pub currency: Currency,
    pub bounds: Bounds,
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

/// What a merchant may give away, and has given away this month (UTC).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct IssuanceView {
    pub merchant_id: Uuid,
    /// The highest share of a purchase that points may be worth.
    pub max_rate_percent: i64,
    pub budget_points: i64,
    pub used_points: i64,
    /// The first day of the month that `used_points` is of.
    pub month: NaiveDate,
}

impl Points {
    /// What points are worth, in each currency.
    pub async fn tender_values(&self) -> Result<TenderValues, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let unit = (self.issuing.currency.clone(), Tender::UNIT);
        let others = store::tenders(&mut conn, None).await?.into_iter();
        let others = others.filter(|(currency, _)| *currency != self.issuing.currency);
        Ok(TenderValues { items: std::iter::once(unit).chain(others).map(view).collect() })
    }

    /// Sets what points are worth in a currency, from now on. For operators.
    pub async fn set_tender_value(
        &self,
        by: MemberId,
        currency: String,
        (points, minor): (Option<i64>, Option<i64>),
    ) -> Result<TenderView, ApiError> {
        let mut fields = Fields::new();
        let currency = Currency::new(currency);
        let foreign = currency.and_then(|currency| {
            if currency == self.issuing.currency { Err(Refused::Tender) } else { Ok(currency) }
        });
        let currency = fields.check("currency", "invalid_currency", foreign);
        let tender = points.zip(minor).ok_or(Refused::Tender);
        let tender = tender.and_then(|(points, minor)| Tender::new(points, minor));
        let tender = fields.check("points", "invalid_tender_value", tender);
        let (currency, tender) = fields.done(|| currency.zip(tender))?;
        let mut conn = postgres::query("acquire", self.db.acquire()).await.map_err(Error::from)?;
        store::set_tender(&mut conn, &currency, tender, by).await.map_err(Error::from)?;
        tracing::info!(currency = currency.as_str(), points, minor, "tender value set");
        Ok(view((currency, tender)))
    }

    /// What a merchant may give away, and has: for its owner, and for operators.
    pub async fn issuance(&self, by: &Caller, merchant: MerchantId) -> Result<IssuanceView, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        owned(&mut conn, &actor(by), merchant).await?;
        self.issuance_view(&mut conn, merchant).await
    }

    /// Sets what a merchant may give away, from now on. For operators.
    pub async fn set_issuance(
        &self,
        by: MemberId,
        merchant: MerchantId,
        (max_rate_percent, budget): (Option<i64>, Option<i64>),
    ) -> Result<IssuanceView, Error> {
        let bounds = max_rate_percent.zip(budget).ok_or(Refused::Bounds);
        let bounds = bounds.and_then(|(rate, budget)| Bounds::new(rate, budget))?;
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        store::set_bounds(&mut conn, merchant, bounds, by).await?;
        tracing::info!(merchant.id = %merchant.0, max_rate_percent, budget, "issuance set");
        self.issuance_view(&mut conn, merchant).await
    }

    async fn issuance_view(
        &self,
        conn: &mut PgConnection,
        merchant: MerchantId,
    ) -> Result<IssuanceView, Error> {
        let month = month(self.clock.now());
        let Issuance { bounds, used } = self.given(conn, merchant, month).await?;
        Ok(IssuanceView {
            merchant_id: merchant.0,
            max_rate_percent: bounds.max_rate_percent(),
            budget_points: bounds.budget_points(),
            used_points: used,
            month,
        })
    }

    /// A merchant's bounds, and what it has given away in that month.
    pub(super) async fn given(
        &self,
        conn: &mut PgConnection,
        merchant: MerchantId,
        month: NaiveDate,
    ) -> Result<Issuance, Error> {
        let (given, _) = store::given(conn, &[merchant.0], month, &[]).await?;
        let default = Issuance { bounds: self.issuing.bounds, used: 0 };
        Ok(given.first().map_or(default, |given| given.issuance(self.issuing.bounds)))
    }

    /// What points are worth in a currency, if anybody has said so.
    pub(super) async fn tender(
        &self,
        conn: &mut PgConnection,
        currency: &Currency,
    ) -> Result<Option<Tender>, Error> {
        if *currency == self.issuing.currency {
            return Ok(Some(Tender::UNIT));
        }
        let found = store::tenders(conn, Some(&[currency.as_str().to_owned()])).await?;
        Ok(found.first().map(|(_, tender)| *tender))
    }

    /// Measures how much of the budgets is used, until `stop`.
    pub(super) async fn measure_issuance(self, stop: CancellationToken) {
        let db = self.db.clone();
        jobs::every("measure_issuance", PERIOD, db, stop, move || {
            let points = self.clone();
            async move { Ok(points.measure_issuance_once().await?) }
        })
        .await;
    }

    async fn measure_issuance_once(&self) -> Result<(), Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let used = store::highest_used(&mut conn, month(self.clock.now())).await?;
        metrics::issuance_used(used);
        Ok(())
    }
}

/// The first day of the month.
pub(super) fn month(now: DateTime<Utc>) -> NaiveDate {
    now.date_naive().with_day(1).unwrap_or_default()
}

fn view((currency, tender): (Currency, Tender)) -> TenderView {
    let currency = currency.as_str().to_owned();
    TenderView { currency, points: tender.points(), minor: tender.minor() }
}
