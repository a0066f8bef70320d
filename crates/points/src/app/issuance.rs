//! Tender values, which say the worth of a point, and the issuance of merchants. Operators set both.

use chrono::NaiveDate;
use kit::error::Fields;
use kit::{ApiError, postgres};
use sqlx::PgConnection;

use super::Points;
use super::merchants::is_owner;
use crate::domain::{Actor, Bounds, Currency, Issuance, MemberId, MerchantId, Refused, Tender};
use crate::error::Error;
use crate::view::{IssuanceView, TenderValues, TenderView};
use crate::{metrics, store};

impl Points {
    /// The tender values of all currencies.
    pub async fn tender_values(&self) -> Result<TenderValues, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let unit = (self.policy.currency.clone(), Tender::UNIT);
        let others = store::tenders(&mut conn, None).await?.into_iter();
        let others = others.filter(|(currency, _)| *currency != self.policy.currency);
        Ok(TenderValues {
            items: std::iter::once(unit).chain(others).map(TenderView::from).collect(),
        })
    }

    /// Sets the tender value of a currency, from now on. For operators.
    pub async fn set_tender_value(
        &self,
        by: MemberId,
        currency: String,
        (points, minor): (Option<i64>, Option<i64>),
    ) -> Result<TenderView, ApiError> {
        let mut fields = Fields::new();
        let currency = Currency::new(currency);
        let foreign = currency.and_then(|currency| {
            if currency == self.policy.currency { Err(Refused::Tender) } else { Ok(currency) }
        });
        let currency = fields.check("currency", "invalid_currency", foreign);
        let tender = points.zip(minor).ok_or(Refused::Tender);
        let tender = tender.and_then(|(points, minor)| Tender::new(points, minor));
        let tender = fields.check("points", "invalid_tender_value", tender);
        let (currency, tender) = fields.done(|| currency.zip(tender))?;
        let mut conn = postgres::query("acquire", self.db.acquire()).await.map_err(Error::from)?;
        store::set_tender(&mut conn, &currency, tender, by).await.map_err(Error::from)?;
        tracing::info!(currency = currency.as_str(), points, minor, "tender value set");
        Ok(TenderView::from((currency, tender)))
    }

    /// The limits and the issuance of a merchant, for its owner and for operators.
    pub async fn issuance(&self, by: &Actor, merchant: MerchantId) -> Result<IssuanceView, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        if !is_owner(&mut conn, by, merchant).await? {
            return Err(Refused::NotFound("merchant").into());
        }
        self.issuance_view(&mut conn, merchant).await
    }

    /// Sets the limits of a merchant, from now on. For operators.
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
        let month = Issuance::month(self.clock.now());
        let issuance = self.issuance_of(conn, merchant, month).await?;
        Ok(IssuanceView::new(merchant, month, issuance))
    }

    /// A merchant's limits and its issuance in a month.
    pub(super) async fn issuance_of(
        &self,
        conn: &mut PgConnection,
        merchant: MerchantId,
        month: NaiveDate,
    ) -> Result<Issuance, Error> {
        let (found, _) = store::issuance(conn, &[merchant.0], month, &[]).await?;
        let default = Issuance { bounds: self.policy.bounds, used: 0 };
        Ok(found.first().map_or(default, |found| found.with_default(self.policy.bounds)))
    }

    /// The tender value of a currency, if an operator has set it.
    pub(super) async fn tender(
        &self,
        conn: &mut PgConnection,
        currency: &Currency,
    ) -> Result<Option<Tender>, Error> {
        if *currency == self.policy.currency {
            return Ok(Some(Tender::UNIT));
        }
        let found = store::tenders(conn, Some(&[currency.as_str().to_owned()])).await?;
        Ok(found.first().map(|(_, tender)| *tender))
    }

    /// Measures the highest used share of a merchant's budget.
    pub async fn measure_issuance(&self) -> Result<(), Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let month = Issuance::month(self.clock.now());
        metrics::issuance_used(store::highest_used(&mut conn, month).await?);
        Ok(())
    }
}
