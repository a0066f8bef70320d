//! What the database itself refuses, whoever asks.

use sqlx::error::DatabaseError;
use sqlx::{Executor as _, PgPool};
use testkit::postgres::app_pool;
use uuid::Uuid;

use crate::app::{TestApp, points};

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn the_ledger_is_append_only_for_everybody(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    app.earn(account, points(10)).await.expect(201);
    let role = app_pool(&app.db, "points_app");

    for statement in [
        "UPDATE entry SET amount = 1000000",
        "DELETE FROM entry",
        "TRUNCATE entry",
        "UPDATE transfer SET reference = ''",
        "DELETE FROM transfer",
        "TRUNCATE transfer CASCADE",
        // Even one that meets no row.
        "DELETE FROM entry WHERE false",
    ] {
        // The role is not allowed to ask,
        assert_eq!(refusal(&role, statement).await.code().unwrap(), "42501", "{statement}");
        // and the owner, who is, is refused by the trigger.
        let error = refusal(&app.db, statement).await;
        assert_eq!(error.constraint(), Some("ledger_append_only"), "{statement}");
    }

    assert_eq!(app.entries().await, 1);
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn the_role_can_neither_delete_an_account_nor_give_it_away(db: PgPool) {
    let app = TestApp::new(db);
    app.member().await;
    let role = app_pool(&app.db, "points_app");
    for statement in [
        "DELETE FROM account",
        "UPDATE account SET member_id = gen_random_uuid()",
        "UPDATE account SET account_id = gen_random_uuid()",
        "DROP TABLE entry",
        "ALTER TABLE entry DISABLE TRIGGER ALL",
    ] {
        assert_eq!(refusal(&role, statement).await.code().unwrap(), "42501", "{statement}");
    }
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn no_balance_breaks_a_rule_of_the_ledger(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    app.earn(account, points(100)).await.expect(201);
    for (change, constraint) in [
        ("earned = -1", "account_earned_within_limit"),
        ("earned = 9007199254740992", "account_earned_within_limit"),
        ("used = -1", "account_used_not_negative"),
        ("held = -1", "account_held_not_negative"),
        ("used = 101", "account_spends_only_what_it_earned"),
        ("used = 50, held = 51", "account_spends_only_what_it_earned"),
        ("used = 9223372036854775807, held = 1", "account_spends_only_what_it_earned"),
        ("version = 0", "account_version_positive"),
    ] {
        let error = refusal(&app.db, &format!("UPDATE account SET {change}")).await;
        assert_eq!(error.constraint(), Some(constraint), "{change}");
    }
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_transfer_that_does_not_balance_is_refused(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    app.earn(account, points(100)).await.expect(201);
    let transfer: Uuid =
        sqlx::query_scalar("SELECT transfer_id FROM transfer").fetch_one(&app.db).await.unwrap();

    let insert = |values: String| {
        format!(
            "INSERT INTO entry (entry_id, transfer_id, account_id, system_account, amount, account_version, balance)
             VALUES {values}"
        )
    };
    let member = |amount: i64, version: i64| {
        format!("(gen_random_uuid(), '{transfer}', '{account}', NULL, {amount}, {version}, 100)")
    };
    let issuance = |amount: i64| {
        format!("(gen_random_uuid(), '{transfer}', NULL, 'issuance', {amount}, NULL, NULL)")
    };
    for (values, constraint) in [
        (member(5, 3), "transfer_sums_to_zero"),
        (issuance(-5), "transfer_sums_to_zero"),
        (format!("{}, {}", member(5, 3), issuance(-4)), "transfer_sums_to_zero"),
        (format!("{}, {}", member(0, 3), issuance(0)), "entry_amount_not_zero"),
        // The same place in the account's history twice: a lost update.
        (format!("{}, {}", member(5, 2), issuance(-5)), "entry_place_in_history"),
        (issuance(-5).replace("issuance", "my_pocket"), "entry_system_account_known"),
        (issuance(-5).replace("'issuance'", "NULL"), "entry_one_side"),
        (issuance(-5).replace(", NULL, NULL)", ", 3, 4)"), "entry_member_side_complete"),
    ] {
        let error = refusal(&app.db, &insert(values.clone())).await;
        assert_eq!(error.constraint(), Some(constraint), "{values}");
    }
    assert_eq!(app.entries().await, 1);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_rule_that_only_the_database_kept_is_counted(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    app.earn(account, points(100)).await.expect(201);
    let violations = || {
        let (_, text) = observability::metrics::render();
        let labels = r#"{aggregate="account",invariant="entry_place_in_history"}"#;
        let text = String::from_utf8(text).unwrap();
        let name = format!("invariant_violation_total{labels} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().to_owned()
    };
    assert_eq!(violations(), "0");

    // Somebody set the balance back by hand.
    sqlx::query("UPDATE account SET earned = 0, version = 1").execute(&app.db).await.unwrap();
    app.earn(account, points(1)).await.expect(500);

    assert_eq!(violations(), "1");
    assert_eq!(app.entries().await, 1);
}

async fn refusal(db: &PgPool, statement: &str) -> Box<dyn DatabaseError> {
    let result = db.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))).await;
    result.expect_err(statement).into_database_error().unwrap()
}
