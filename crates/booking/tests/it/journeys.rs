//! The journeys of customers, in `features/*.feature`: each scenario over the real router, on real databases
//! and with the real points.

mod steps;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use cucumber::writer::Stats as _;
use cucumber::{Parameter, World as _};
use futures::FutureExt as _;
use serde_json::Value;
use sqlx::PgPool;
use testkit::http::Reply;
use uuid::Uuid;

use crate::app::{Shop, member};
use crate::line_channel::Channel;
use crate::saga_world::World;

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn every_scenario_of_the_customers_journeys_holds(db: PgPool) {
    let features = Path::new(env!("CARGO_MANIFEST_DIR")).join("features");
    let written = std::fs::read_dir(&features).unwrap().count();
    let told = Journey::cucumber()
        .before(move |_, _, _, journey| {
            let db = db.clone();
            async move {
                clear(&db).await;
                journey.db = Some(db);
            }
            .boxed_local()
        })
        .max_concurrent_scenarios(1) // each begins with empty tables
        .fail_on_skipped() // a missing step is no proof
        .with_default_cli() // the arguments are the test's, not cucumber's
        .run(features)
        .await;
    assert!(!told.execution_has_failed(), "see the steps that failed above");
    assert!(written >= 6 && told.passed_steps() >= 10 * written, "{}", told.passed_steps());
}

/// One scenario.
#[derive(Default, cucumber::World)]
pub struct Journey {
    db: Option<PgPool>,
    world: Option<World>,
    channel: Option<Channel>,
    people: BTreeMap<String, Uuid>,
    bookings: BTreeMap<String, Uuid>,
    answers: Vec<Reply>,
}

impl fmt::Debug for Journey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers: Vec<_> =
            self.answers.iter().map(|r| format!("{} {}", r.status, r.text())).collect();
        f.debug_struct("Journey").field("answers", &answers).finish_non_exhaustive()
    }
}

impl Journey {
    fn world(&self) -> &World {
        self.world.as_ref().unwrap()
    }

    fn shop(&self) -> &Shop {
        &self.world().shop
    }

    fn channel(&self) -> &Channel {
        self.channel.as_ref().unwrap()
    }

    /// Returns the same member for the same name.
    fn who(&mut self, name: &str) -> Uuid {
        let next = u128::try_from(self.people.len()).unwrap() + 2;
        *self.people.entry(name.to_owned()).or_insert_with(|| member(next))
    }

    fn booking(&self, name: &str) -> Uuid {
        self.bookings[name]
    }

    async fn read(&self, name: &str) -> Value {
        let path = format!("/v1/bookings/{}", self.booking(name));
        self.world().app.get(self.people[name], &path).send().await.expect(200).json()
    }

    fn answer(&self) -> &Reply {
        self.answers.last().unwrap()
    }
}

/// A time on the salon's wall clock.
#[derive(Parameter)]
#[param(name = "time", regex = r"\d+ January at \d\d:\d\d")]
struct Time(String);

impl FromStr for Time {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (day, hour) = text.split_once(" January at ").unwrap_or_default();
        Ok(Self(format!("2030-01-{:02}T{hour}", day.parse::<u8>()?)))
    }
}

async fn clear(db: &PgPool) {
    sqlx::raw_sql(
        "DO $$ BEGIN EXECUTE (
             SELECT 'TRUNCATE ' || string_agg(quote_ident(tablename), ', ')
             FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations');
         END $$",
    )
    .execute(db)
    .await
    .unwrap();
}
