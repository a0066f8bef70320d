//! The worth of a point, and the limits on the points that a merchant may give away.

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};

use super::{Amount, Basis, Currency, Rate, Refused};

/// The policy of the deployment: its unit of account, and the limits of merchants without their own.
#[derive(Clone, Debug, Default)]
pub struct IssuancePolicy {
    pub currency: Currency,
    pub bounds: Bounds,
}

/// `points` points pay `minor` minor units of a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tender {
    points: i64,
    minor: i64,
}

/// The limits of a merchant, and the points that it has given away this month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issuance {
    pub bounds: Bounds,
    pub used: i64,
}

/// The limits of a merchant: the highest share of a purchase that points may be worth, and the points of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    max_rate_percent: i64,
    budget_points: i64,
}

/// A price, in the minor units of a currency: at least 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub minor: i64,
    pub currency: Currency,
}

/// The part of a price that held points pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub minor: i64,
    pub currency: Currency,
}

impl Tender {
    /// The value in the unit of account: one point pays one minor unit.
    pub const UNIT: Self = Self { points: 1, minor: 1 };
    pub const MAX: i64 = 1_000_000_000;

    pub fn new(points: i64, minor: i64) -> Result<Self, Refused> {
        let range = 1..=Self::MAX;
        let sound = range.contains(&points) && range.contains(&minor);
        if sound { Ok(Self { points, minor }) } else { Err(Refused::Tender) }
    }

    pub fn points(self) -> i64 {
        self.points
    }

    pub fn minor(self) -> i64 {
        self.minor
    }

    /// The part of a price that these points pay, rounded down: at least 1, and at most the price.
    pub fn pays(self, points: Amount, price: &Price) -> Result<Value, Refused> {
        let minor = i128::from(points.get()) * i128::from(self.minor) / i128::from(self.points);
        match i64::try_from(minor) {
            Ok(0) => Err(Refused::Amount),
            Ok(minor) if minor <= price.minor => {
                Ok(Value { minor, currency: price.currency.clone() })
            }
            _ => Err(Refused::ExceedsPrice),
        }
    }

    /// The points that `percent` of `minor` minor units are worth, rounded down.
    fn share(self, minor: i64, percent: i64) -> i128 {
        // 2^63 × 10^9 × 100 is far below 2^127.
        i128::from(minor) * i128::from(percent) * i128::from(self.points)
            / (100 * i128::from(self.minor))
    }
}

impl Price {
    pub fn new(minor: i64, currency: Currency) -> Result<Self, Refused> {
        if minor >= 1 { Ok(Self { minor, currency }) } else { Err(Refused::Price) }
    }
}

impl Bounds {
    pub const MAX_BUDGET: i64 = (1 << 53) - 1;

    pub fn new(max_rate_percent: i64, budget_points: i64) -> Result<Self, Refused> {
        let sound = (1..=100).contains(&max_rate_percent)
            && (0..=Self::MAX_BUDGET).contains(&budget_points);
        if sound { Ok(Self { max_rate_percent, budget_points }) } else { Err(Refused::Bounds) }
    }

    pub fn max_rate_percent(self) -> i64 {
        self.max_rate_percent
    }

    pub fn budget_points(self) -> i64 {
        self.budget_points
    }

    /// Refuses a rate that gives more than the highest share of a purchase.
    pub fn permit(self, rate: Rate, tender: Tender) -> Result<(), Refused> {
        let given = i128::from(rate.points()) * i128::from(tender.minor) * 100;
        let most = i128::from(self.max_rate_percent)
            * i128::from(rate.per_minor())
            * i128::from(tender.points);
        if given <= most { Ok(()) } else { Err(Refused::RateExceedsLimit) }
    }

    /// The points that an earning is worth: by the merchant's rate, or 1 % of the purchase, and at most the
    /// highest share.
    pub fn worth(
        self,
        basis: &Basis,
        rate: Option<Rate>,
        tender: Tender,
    ) -> Result<Amount, Refused> {
        let minor = match basis {
            Basis::Points(amount) => return Ok(*amount),
            Basis::Purchase(purchase, _) => i64::from(*purchase),
        };
        let worth = match rate {
            Some(rate) => i128::from(rate.worth(basis)?.get()),
            None => tender.share(minor, 1),
        };
        match i64::try_from(worth.min(tender.share(minor, self.max_rate_percent))) {
            Ok(0) => Err(Refused::PurchaseTooSmall),
            Ok(points) => Amount::new(points).map_err(|_| Refused::Purchase),
            Err(_) => Err(Refused::Purchase),
        }
    }
}

impl Issuance {
    /// The month of a budget (UTC), by its first day.
    pub fn month(now: DateTime<Utc>) -> NaiveDate {
        now.date_naive().with_day(1).unwrap_or_default()
    }

    /// The issuance after these points, unless the budget is exhausted.
    pub fn spend(self, points: Amount) -> Result<Self, Refused> {
        let used = self.used.checked_add(points.get());
        let used = used.filter(|used| *used <= self.bounds.budget_points);
        Ok(Self { used: used.ok_or(Refused::IssuanceBudget)?, ..self })
    }
}

/// By default points are worth at most 20 % of a purchase, and a merchant gives away 10,000,000 in a month.
impl Default for Bounds {
    fn default() -> Self {
        Self { max_rate_percent: 20, budget_points: 10_000_000 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Purchase;

    fn purchase(minor: i64) -> Basis {
        Basis::Purchase(Purchase::new(minor).unwrap(), Currency::default())
    }

    #[test]
    fn a_million_rupiah_is_no_million_yen() {
        // One point is worth IDR 100, which are 10,000 minor units.
        let tender = Tender::new(1, 10_000).unwrap();
        let worth = |minor| Bounds::default().worth(&purchase(minor), None, tender);
        assert_eq!(worth(100_000_000).map(Amount::get), Ok(100), "1 % of IDR 1,000,000");
        assert_eq!(worth(999_999), Err(Refused::PurchaseTooSmall));
        let price = Price::new(500_000, Currency::default()).unwrap();
        let pays = |points| tender.pays(Amount::new(points).unwrap(), &price).map(|v| v.minor);
        assert_eq!((pays(50), pays(51)), (Ok(500_000), Err(Refused::ExceedsPrice)));
        let dear = Tender::new(1_000, 1).unwrap();
        let price = Price::new(1, Currency::default()).unwrap();
        assert_eq!(dear.pays(Amount::new(999).unwrap(), &price), Err(Refused::Amount));
    }

    #[test]
    fn a_rate_is_bounded_by_the_highest_share() {
        let bounds = Bounds::new(20, 1).unwrap();
        let rate = |points, per_minor| Rate::new(points, per_minor, 1).unwrap();
        assert_eq!(bounds.permit(rate(20, 100), Tender::UNIT), Ok(()));
        assert_eq!(bounds.permit(rate(21, 100), Tender::UNIT), Err(Refused::RateExceedsLimit));
        let worth = bounds.worth(&purchase(1_000), Some(rate(1, 1)), Tender::UNIT);
        assert_eq!(worth.map(Amount::get), Ok(200));
    }

    proptest! {
        #[test]
        fn points_never_pay_more_than_their_share_of_the_purchase(
            minor in 1..=1_000_000_000_000_i64,
            (points, unit) in (1..=1_000_000_i64, 1..=1_000_000_i64),
            percent in 1..=100_i64,
            rate in prop::option::of((1..=1_000_i64, 1..=1_000_i64)),
        ) {
            let (tender, bounds) = (Tender::new(points, unit).unwrap(), Bounds::new(percent, 1).unwrap());
            let rate = rate.map(|(points, per)| Rate::new(points, per, 1).unwrap());
            if let Ok(worth) = bounds.worth(&purchase(minor), rate, tender) {
                let pays = i128::from(worth.get()) * i128::from(unit) * 100 / i128::from(points);
                prop_assert!(pays <= i128::from(minor) * i128::from(percent));
            }
        }
    }
}
