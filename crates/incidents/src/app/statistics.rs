use chrono::{DateTime, Utc};
use kit::postgres;

use super::{Error, Incidents};
use crate::domain::Statistics;
use crate::store::postmortems;

impl Incidents {
    /// Returns the statistics of the incidents that opened in the period.
    pub async fn statistics(
        &self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Statistics, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let samples = postmortems::samples(&mut conn, from, until).await?;
        Ok(Statistics::of(&samples, from, until))
    }
}
