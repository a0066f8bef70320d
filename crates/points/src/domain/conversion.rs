//! Conversion rules: the points that a purchase earns.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Amount, MerchantId, Refused};

/// The price that a member paid, in the currency's minor units: at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Purchase(i64);

/// The basis of an earning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    Purchase(Purchase, Currency),
    Points(Amount),
}

/// Three capital letters of ISO 4217.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Currency(String);

/// The worth of a purchase: `points` for each `per_minor` minor units, on purchases of `min_minor` or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Rate {
    points: i64,
    per_minor: i64,
    min_minor: i64,
}

/// The serialized form of a rate, which is checked again when it is read.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Parts {
    points: i64,
    per_minor: i64,
    min_minor: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleId(pub Uuid);

/// A merchant's rate and the period in which it applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub id: RuleId,
    pub merchant: MerchantId,
    pub currency: Currency,
    pub rate: Rate,
    pub from: DateTime<Utc>,
    /// Exclusive; for ever when `None`.
    pub until: Option<DateTime<Utc>>,
}

impl Purchase {
    pub fn new(minor: i64) -> Result<Self, Refused> {
        if minor >= 1 { Ok(Self(minor)) } else { Err(Refused::Purchase) }
    }
}

impl TryFrom<i64> for Purchase {
    type Error = Refused;

    fn try_from(minor: i64) -> Result<Self, Refused> {
        Self::new(minor)
    }
}

impl From<Purchase> for i64 {
    fn from(purchase: Purchase) -> Self {
        purchase.0
    }
}

impl TryFrom<String> for Currency {
    type Error = Refused;

    fn try_from(code: String) -> Result<Self, Refused> {
        Self::new(code)
    }
}

impl Currency {
    pub fn new(code: String) -> Result<Self, Refused> {
        let sound = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        if sound { Ok(Self(code)) } else { Err(Refused::Currency) }
    }

    /// Trusts a code that was checked before it was stored.
    pub(crate) fn from_stored(code: String) -> Self {
        Self(code)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The default currency of booking's merchants.
impl Default for Currency {
    fn default() -> Self {
        Self("JPY".to_owned())
    }
}

impl Rate {
    pub const MAX_POINTS: i64 = 1_000_000;
    pub const MAX_PER_MINOR: i64 = 1_000_000_000;
    pub const MAX_MIN_MINOR: i64 = 1_000_000_000_000;

    pub fn new(points: i64, per_minor: i64, min_minor: i64) -> Result<Self, Refused> {
        let sound = (1..=Self::MAX_POINTS).contains(&points)
            && (1..=Self::MAX_PER_MINOR).contains(&per_minor)
            && (1..=Self::MAX_MIN_MINOR).contains(&min_minor);
        if sound { Ok(Self { points, per_minor, min_minor }) } else { Err(Refused::Rate) }
    }

    pub fn points(self) -> i64 {
        self.points
    }

    pub fn per_minor(self) -> i64 {
        self.per_minor
    }

    pub fn min_minor(self) -> i64 {
        self.min_minor
    }

    /// The points that `basis` is worth: `⌊minor × points ÷ per_minor⌋`, rounded down once, at the end.
    /// A fraction of a point is neither earned nor kept for the next purchase.
    pub fn worth(self, basis: &Basis) -> Result<Amount, Refused> {
        let minor = match basis {
            Basis::Points(amount) => return Ok(*amount),
            Basis::Purchase(Purchase(minor), _) => *minor,
        };
        if minor < self.min_minor {
            return Err(Refused::PurchaseTooSmall);
        }
        // 2^63 × 10^6 is far below 2^127.
        let worth = i128::from(minor) * i128::from(self.points) / i128::from(self.per_minor);
        match i64::try_from(worth) {
            Ok(0) => Err(Refused::PurchaseTooSmall),
            Ok(points) => Amount::new(points).map_err(|_| Refused::Purchase),
            Err(_) => Err(Refused::Purchase),
        }
    }
}

impl Rule {
    /// The age limit of an earning.
    const LATEST: TimeDelta = TimeDelta::days(90);
    /// The most that another machine's clock may be ahead of ours.
    const SKEW: TimeDelta = TimeDelta::minutes(1);

    /// The moment whose rule applies to points earned at `at`.
    pub fn moment(at: DateTime<Utc>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Refused> {
        let ago = now.signed_duration_since(at);
        if (-Self::SKEW..=Self::LATEST).contains(&ago) {
            Ok(at.min(now))
        } else {
            Err(Refused::Time)
        }
    }

    /// True from the start of the rule up to its end, which is exclusive.
    pub fn applies(&self, at: DateTime<Utc>) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }

    /// The rule with an earlier end: `at`, or now. A rule that has not begun ends when it begins.
    pub fn ended(self, at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<Self, Refused> {
        let end = at.unwrap_or(now);
        if self.until.is_some_and(|until| until <= now) {
            return Err(Refused::RuleEnded);
        }
        if end < now || self.until.is_some_and(|until| until < end) {
            return Err(Refused::RulePeriod);
        }
        Ok(Self { until: Some(end.max(self.from)), ..self })
    }

    /// The rate at that moment, among a merchant's rules. At most one applies; `None` is the standard rate.
    pub fn rate(rules: &[Self], at: DateTime<Utc>) -> Option<Rate> {
        rules.iter().find(|rule| rule.applies(at)).map(|rule| rule.rate)
    }
}

impl TryFrom<Parts> for Rate {
    type Error = Refused;

    fn try_from(Parts { points, per_minor, min_minor }: Parts) -> Result<Self, Refused> {
        Self::new(points, per_minor, min_minor)
    }
}

impl From<Rate> for Parts {
    fn from(Rate { points, per_minor, min_minor }: Rate) -> Self {
        Self { points, per_minor, min_minor }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn purchase(minor: i64) -> Basis {
        Basis::Purchase(Purchase(minor), Currency::default())
    }

    fn rate(points: i64, per_minor: i64, min_minor: i64) -> Rate {
        Rate::new(points, per_minor, min_minor).unwrap()
    }

    #[test]
    fn a_point_is_earned_for_every_full_hundred() {
        let worth = |minor| rate(1, 100, 1).worth(&purchase(minor)).map(Amount::get);
        assert_eq!(worth(99), Err(Refused::PurchaseTooSmall));
        assert_eq!(worth(100), Ok(1));
        assert_eq!(worth(199), Ok(1));
        assert_eq!(worth(100_000_000_099), Ok(Amount::MAX));
        assert_eq!(worth(100_000_000_100), Err(Refused::Purchase));
        assert_eq!(worth(i64::MAX), Err(Refused::Purchase));
    }

    #[test]
    fn a_rate_rounds_down_once_and_has_a_least_purchase() {
        let three_per_hundred = rate(3, 100, 150);
        let worth = |minor| three_per_hundred.worth(&purchase(minor)).map(Amount::get);
        assert_eq!(worth(149), Err(Refused::PurchaseTooSmall));
        assert_eq!(worth(150), Ok(4), "4.5, and not 3 for the full hundred");
        assert_eq!(rate(Rate::MAX_POINTS, 1, 1).worth(&purchase(i64::MAX)), Err(Refused::Purchase));
    }

    #[test]
    fn what_a_cache_says_is_checked_like_what_a_client_says() {
        let good = r#"{"points":2,"per_minor":100,"min_minor":1}"#;
        assert_eq!(serde_json::from_str::<Rate>(good).unwrap(), rate(2, 100, 1));
        for bad in [good.replace("100", "0"), good.replace("\"points\":2", "\"points\":-2")] {
            assert!(serde_json::from_str::<Rate>(&bad).is_err(), "{bad}");
        }
    }

    /// Numbers from 1 to `max`, small ones as often as large ones.
    fn of_any_size(max: i64) -> impl Strategy<Value = i64> {
        (1..=max, 0..63_u32).prop_map(|(number, shift)| (number >> shift).max(1))
    }

    proptest! {
        #[test]
        fn a_purchase_is_never_worth_more_than_it_paid_for_nor_a_point_less(
            minor in of_any_size(i64::MAX),
            points in of_any_size(Rate::MAX_POINTS),
            per_minor in of_any_size(Rate::MAX_PER_MINOR),
            min_minor in of_any_size(Rate::MAX_MIN_MINOR),
        ) {
            let exact = i128::from(minor) * i128::from(points);
            let per = i128::from(per_minor);
            match rate(points, per_minor, min_minor).worth(&purchase(minor)) {
                Ok(worth) => {
                    let worth = i128::from(worth.get());
                    prop_assert!(minor >= min_minor);
                    prop_assert!(worth * per <= exact && exact < (worth + 1) * per);
                }
                Err(Refused::PurchaseTooSmall) => {
                    prop_assert!(minor < min_minor || exact < per);
                }
                Err(refused) => {
                    prop_assert_eq!(refused, Refused::Purchase);
                    prop_assert!(exact / per > i128::from(Amount::MAX));
                }
            }
        }

        #[test]
        fn more_money_is_never_worth_fewer_points(
            minor in 1..=1_000_000_000_i64,
            more in 0..=1_000_000_i64,
            points in 1..=1_000_i64,
            per_minor in 1..=10_000_i64,
        ) {
            let rate = rate(points, per_minor, 1);
            let worth = |minor| match rate.worth(&purchase(minor)) {
                Ok(amount) => amount.get(),
                Err(Refused::PurchaseTooSmall) => 0,
                Err(_) => i64::MAX,
            };
            prop_assert!(worth(minor) <= worth(minor + more));
        }

        #[test]
        fn at_every_moment_one_of_adjacent_rules_applies(
            second in prop_oneof![0..3_000_i64, Just(0), Just(1_000), Just(2_000)],
        ) {
            let start = DateTime::<Utc>::UNIX_EPOCH;
            let at = |second| start + TimeDelta::seconds(second);
            let rule = |n: i64, until| Rule {
                id: RuleId(Uuid::from_u128(u128::try_from(n).unwrap())),
                merchant: MerchantId(Uuid::nil()),
                currency: Currency::default(),
                rate: rate(n + 2, 100, 1),
                from: at(n * 1_000),
                until,
            };
            let rules = [rule(0, Some(at(1_000))), rule(1, Some(at(2_000)))];
            let expected = match second / 1_000 {
                n @ 0..2 => Some(rate(n + 2, 100, 1)),
                _ => None,
            };
            prop_assert_eq!(Rule::rate(&rules, at(second)), expected);
        }
    }
}
