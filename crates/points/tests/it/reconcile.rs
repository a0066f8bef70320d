//! Whatever is wrong with the books, one audit finds it and names the account.

use std::time::Duration;

use points::app::{Audit, reconcile};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::app::TestApp;

/// Books with everything in them, and the account that will be tampered with.
async fn world(db: PgPool) -> (TestApp, Uuid) {
    let app = TestApp::new(db);
    let (account, token) = app.rich(1_000).await;
    let (other, _) = app.rich(50).await;
    let post = async |path: &str, body| {
        app.post(&format!("/v1/accounts/{account}/{path}"), &token, body).await.expect(201)
    };
    post("redemptions", json!({ "points": 10 })).await;
    post("transfers", json!({ "to_account_id": other, "points": 5 })).await;
    post("holds", json!({ "points": 20 })).await;
    (app, account)
}

async fn tamper(app: &TestApp, account: Uuid, sql: &str) {
    app.tamper(&sql.replace("$1", &format!("'{account}'"))).await;
}

fn count(aggregate: &str, invariant: &str) -> f64 {
    let text = String::from_utf8(observability::metrics::render().1).unwrap();
    let series =
        format!(r#"invariant_violation_total{{aggregate="{aggregate}",invariant="{invariant}"}} "#);
    let line = text.lines().find(|line| line.starts_with(&series));
    line.map_or(f64::NAN, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn sound_books_are_found_sound(db: PgPool) {
    let (app, _) = world(db).await;
    let role = testkit::postgres::app_pool(&app.db, "points_app");
    assert_eq!(reconcile(&role).await.unwrap(), Audit { accounts: 2, broken: 0 });
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn each_kind_of_corruption_is_found_in_one_run_counted_and_logged_with_its_account(
    db: PgPool,
) {
    let log = crate::log::start();
    let (app, account) = world(db).await;
    let role = testkit::postgres::app_pool(&app.db, "points_app");
    let last = "(SELECT max(account_version) FROM entry WHERE account_id = $1)";
    let earned = "(SELECT transfer_id FROM entry WHERE account_id = $1 AND account_version = 2)";
    for (aggregate, invariant, sql) in [
        (
            "account",
            "balance_matches_entries",
            "UPDATE account SET earned = earned + 1 WHERE account_id = $1".to_owned(),
        ),
        (
            "account",
            "balance_matches_entries",
            "UPDATE account SET version = version + 1 WHERE account_id = $1".to_owned(),
        ),
        (
            "account",
            "balance_matches_entries",
            format!("DELETE FROM entry WHERE account_id = $1 AND account_version = {last}"),
        ),
        (
            "account",
            "balance_matches_entries",
            "UPDATE account SET earned = earned + 5, used = used + 5 WHERE account_id = $1"
                .to_owned(),
        ),
        (
            "account",
            "entries_without_gap",
            "DELETE FROM entry WHERE account_id = $1 AND account_version = 3".to_owned(),
        ),
        (
            "account",
            "entries_without_gap",
            "UPDATE entry SET amount = amount - 1 WHERE account_id = $1 AND account_version = 3"
                .to_owned(),
        ),
        (
            "account",
            "held_matches_holds",
            "UPDATE hold SET amount = amount + 1 WHERE account_id = $1".to_owned(),
        ),
        (
            "transfer",
            "transfer_sums_to_zero",
            format!(
                "UPDATE entry SET amount = amount + 1 WHERE transfer_id = {earned} AND account_id IS NULL"
            ),
        ),
        (
            "transfer",
            "transfer_has_entries",
            format!("DELETE FROM transfer WHERE transfer_id = {earned}"),
        ),
    ] {
        let before = count(aggregate, invariant);
        assert!(before >= 0.0, "{invariant} is there at 0");
        let seen = log.lines().len();
        let saved = save(&app).await;
        tamper(&app, account, &sql).await;

        let audit = reconcile(&role).await.unwrap();
        assert!(audit.broken >= 1, "{sql}");
        assert!(count(aggregate, invariant) > before, "{invariant}: {sql}");
        let lines = testkit::eventually(Duration::from_secs(5), || async {
            let new = log.lines().split_off(seen);
            new.iter().any(|line| line["message"] == "audit done").then_some(new)
        })
        .await;
        let named = lines.iter().any(|line| {
            line["invariant"] == invariant
                && line["account_id"].as_str().is_some_and(|ids| ids.contains(&account.to_string()))
        });
        assert!(named, "no line names the account: {sql}: {lines:?}");

        restore(&app, saved).await;
        let seen = log.lines().len();
        assert_eq!(reconcile(&role).await.unwrap().broken, 0, "restored after {sql}");
        testkit::eventually(Duration::from_secs(5), || async {
            log.lines()
                .split_off(seen)
                .iter()
                .any(|line| line["message"] == "audit done")
                .then_some(())
        })
        .await;
    }
}

/// The tables, as they were.
async fn save(app: &TestApp) -> Vec<&'static str> {
    let tables = vec!["account", "transfer", "hold", "entry"];
    for table in &tables {
        let sql = format!(
            "DROP TABLE IF EXISTS kept_{table}; CREATE TABLE kept_{table} AS TABLE {table}"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&app.db).await.unwrap();
    }
    tables
}

async fn restore(app: &TestApp, tables: Vec<&'static str>) {
    for table in tables {
        let sql = format!(
            "DELETE FROM {table}; INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM kept_{table}"
        );
        tamper(app, Uuid::nil(), &sql).await;
    }
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn an_audit_in_the_middle_of_traffic_sees_nothing_wrong(db: PgPool) {
    let app = std::sync::Arc::new(TestApp::new(db));
    let role = testkit::postgres::app_pool(&app.db, "points_app");
    let accounts = futures::future::join_all((0..4).map(|_| app.rich(10))).await;
    let traffic = accounts.into_iter().map(|(account, _)| {
        let app = app.clone();
        tokio::spawn(async move {
            for n in 1..=60 {
                app.earn(account, crate::app::points(n)).await.expect(201);
            }
        })
    });
    let traffic = futures::future::join_all(traffic.collect::<Vec<_>>());
    tokio::pin!(traffic);
    let mut audits = 0;
    loop {
        tokio::select! {
            done = &mut traffic => {
                done.into_iter().for_each(|task| task.unwrap());
                break;
            }
            audit = reconcile(&role) => {
                assert_eq!(audit.unwrap().broken, 0);
                audits += 1;
            }
        }
    }
    assert!(audits > 3, "{audits} audits");
}
