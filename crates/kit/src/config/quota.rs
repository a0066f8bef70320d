use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::duration;

/// Requests per period, written `600/1m`. All may be made at once; they refill evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    requests: u32,
    period: Duration,
}

/// The text is not a quota such as `600/1m`, or the quota is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected requests/period such as 600/1m: at least 1, at most a million per second and a day"
)]
pub struct InvalidQuota;

impl Quota {
    /// Returns true when it allows more requests per time.
    pub fn is_above(&self, other: &Self) -> bool {
        self.interval() < other.interval()
    }

    /// Creates a quota of so many requests a minute.
    pub const fn per_minute(requests: u32) -> Self {
        Self { requests, period: Duration::from_mins(1) }
    }

    /// Returns the number of requests per period.
    pub const fn requests(self) -> u32 {
        self.requests
    }

    /// Returns the length of the period.
    pub const fn period(self) -> Duration {
        self.period
    }

    /// Returns the time until one request is available again: at least a microsecond.
    pub(crate) fn interval(self) -> Duration {
        self.period / self.requests
    }

    /// Returns the number of requests taken from Redis at a time.
    pub(crate) fn lease(self) -> u32 {
        (self.requests / 100).max(1)
    }
}

impl FromStr for Quota {
    type Err = InvalidQuota;

    fn from_str(text: &str) -> Result<Self, InvalidQuota> {
        let (requests, period) = text.split_once('/').ok_or(InvalidQuota)?;
        let requests: u32 = requests.parse().map_err(|_| InvalidQuota)?;
        let period = duration(period).map_err(|_| InvalidQuota)?;
        let day = Duration::from_hours(24);
        let quota = Self { requests, period };
        if requests == 0 || period > day || quota.interval() < Duration::from_micros(1) {
            return Err(InvalidQuota);
        }
        Ok(quota)
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}ms", self.requests, self.period.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_requests_and_a_period() {
        let quota: Quota = "600/1m".parse().unwrap();
        assert_eq!((quota.requests(), quota.interval()), (600, Duration::from_millis(100)));
        assert_eq!(quota.to_string().parse(), Ok(quota));
        assert_eq!(("5/1m".parse().map(Quota::lease), quota.lease()), (Ok(1), 6));
        for wrong in ["", "600", "0/1m", "-1/1m", "1/0s", "1/25h", "1000001/1s", "1/2d", "1/m"] {
            assert_eq!(wrong.parse::<Quota>(), Err(InvalidQuota), "{wrong}");
        }
    }
}
