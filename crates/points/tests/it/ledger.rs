//! The rules that the database itself enforces.

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

/// A bug in the service must not be able to mint points.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn an_account_is_what_its_entries_say_and_an_entry_comes_with_its_transfer(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    app.earn(account, points(100)).await.expect(201);
    let role = app_pool(&app.db, "points_app");
    let transfer: Uuid =
        sqlx::query_scalar("SELECT transfer_id FROM transfer").fetch_one(&app.db).await.unwrap();
    let entries = |transfer: &str, version: i64, balance: i64| {
        format!(
            "INSERT INTO entry (entry_id, transfer_id, account_id, system_account, amount, account_version, balance)
             VALUES (gen_random_uuid(), '{transfer}', '{account}', NULL, 5, {version}, {balance}),
                    (gen_random_uuid(), '{transfer}', NULL, 'issuance', -5, NULL, NULL)"
        )
    };
    let new = Uuid::from_u128(7).to_string();
    let with_transfer = |kind: &str, change: &str, entries: String| {
        format!(
            "WITH t AS (INSERT INTO transfer (transfer_id, kind, reference, occurred_at)
                        VALUES ('{new}', '{kind}', '', now())),
                  a AS (UPDATE account SET {change} WHERE account_id = '{account}') {entries}"
        )
    };
    let ours = entries(&new, 3, 105);
    for (statement, constraint) in [
        ("UPDATE account SET earned = earned + 1000000".to_owned(), "account_follows_entries"),
        (
            "UPDATE account SET earned = earned + 5, used = used + 5".to_owned(),
            "account_follows_entries",
        ),
        ("UPDATE account SET version = version - 1".to_owned(), "account_follows_entries"),
        (
            "INSERT INTO account (account_id, member_id, opened_at, earned)
          VALUES (gen_random_uuid(), gen_random_uuid(), now(), 5)"
                .to_owned(),
            "account_opens_empty",
        ),
        // Balanced, and added to a transfer that is there.
        (entries(&transfer.to_string(), 3, 105), "entry_with_its_transfer"),
        // An account that its entry leaves behind, or that takes another sum, amount or balance from it.
        (
            with_transfer("earn", "held = held WHERE false AND", ours.clone())
                .replace("AND WHERE", "AND"),
            "entry_follows_account",
        ),
        (
            with_transfer("earn", "used = used - 5, version = 3", ours.clone()),
            "account_used_not_negative",
        ),
        (
            with_transfer("earn", "earned = earned + 6, version = 3", ours.clone()),
            "account_follows_entries",
        ),
        (
            with_transfer(
                "earn",
                "earned = earned + 10, used = used + 5, version = 3",
                ours.clone(),
            ),
            "account_follows_entries",
        ),
        (
            with_transfer("earn", "earned = earned + 5, version = 3", entries(&new, 3, 106)),
            "account_follows_entries",
        ),
        (
            with_transfer("earn", "earned = earned + 5, version = 4", entries(&new, 4, 105)),
            "account_follows_entries",
        ),
    ] {
        let error = refusal(&role, &statement).await;
        assert_eq!(error.constraint(), Some(constraint), "{statement}");
    }
    // A correct statement is accepted.
    let right = with_transfer("earn", "earned = earned + 5, version = 3", ours);
    sqlx::raw_sql(sqlx::AssertSqlSafe(right)).execute(&role).await.unwrap();
    app.the_books_balance().await;
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
    app.tamper("UPDATE account SET earned = 0, version = 1").await;
    app.earn(account, points(1)).await.expect(500);

    assert_eq!(violations(), "1");
    assert_eq!(app.entries().await, 1);
}

async fn refusal(db: &PgPool, statement: &str) -> Box<dyn DatabaseError> {
    let result = db.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))).await;
    result.expect_err(statement).into_database_error().unwrap()
}
