//! The idempotency keys of a batch, read with its accounts in one statement.

use std::collections::HashMap;

use kit::command::Success;
use kit::idempotency::Key;
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use super::AccountRow;
use super::load::corrupt;
use crate::domain::Account;

/// The first answer to a command.
pub(crate) struct FirstAnswer {
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) success: Success,
    pub(crate) body: Vec<u8>,
}

/// The identity of an idempotency key: each principal has keys of their own, for each route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyId {
    principal: String,
    route: String,
    value: String,
}

impl KeyId {
    pub(crate) fn new(principal: &str, key: &Key) -> Self {
        let (route, value) = (key.route.clone(), key.value.clone());
        Self { principal: principal.to_owned(), route, value }
    }
}

/// These accounts, and the first answers to these keys, at one moment.
pub(crate) async fn accounts_and_keys(
    conn: &mut PgConnection,
    ids: &[Uuid],
    keys: &[KeyId],
) -> sqlx::Result<(Vec<Account>, HashMap<KeyId, FirstAnswer>)> {
    let (principals, routes, values) = columns(keys);
    let select = sqlx::query!(
        // Each key by its own index lookup: see `index_only`.
        r#"SELECT account.account_id AS "account_id?", member_id AS "member_id?", earned AS "earned?",
                  used AS "used?", held AS "held?", version AS "version?", opened_at AS "opened_at?",
                  NULL AS "asked?: i64", NULL AS "fingerprint?: Vec<u8>", NULL AS "status?: i16",
                  NULL AS "body?: Vec<u8>"
           FROM account WHERE account_id = ANY ($1)
           UNION ALL
           SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, asked.n, kept.fingerprint, kept.status,
                  kept.body
           FROM unnest($2::text[], $3::text[], $4::text[])
                WITH ORDINALITY AS asked (principal, route, key, n)
           CROSS JOIN LATERAL (
               SELECT * FROM idempotency_key k
               WHERE k.principal = asked.principal AND k.route = asked.route AND k.key = asked.key
               LIMIT 1) AS kept"#,
        ids,
        &principals,
        &routes,
        &values,
    );
    let rows = postgres::query("ledger_look", select.fetch_all(conn)).await?;
    let (mut accounts, mut answers) = (Vec::with_capacity(ids.len()), HashMap::new());
    for row in rows {
        if let (
            Some(account_id),
            Some(member_id),
            Some(earned),
            Some(used),
            Some(held),
            Some(version),
            Some(opened_at),
        ) = (
            row.account_id,
            row.member_id,
            row.earned,
            row.used,
            row.held,
            row.version,
            row.opened_at,
        ) {
            let row = AccountRow { account_id, member_id, earned, used, held, version, opened_at };
            accounts.push(row.into());
        } else if let (Some(asked), Some(fingerprint), Some(status), Some(body)) =
            (row.asked, row.fingerprint, row.status, row.body)
        {
            let asked = usize::try_from(asked - 1).ok().and_then(|index| keys.get(index));
            let key = asked.ok_or_else(|| corrupt("an unknown key was returned"))?;
            let success = Success::from_status(status)?;
            answers.insert(key.clone(), FirstAnswer { fingerprint, success, body });
        }
    }
    Ok((accounts, answers))
}

/// The first answers to these keys.
pub(crate) async fn first_answers(
    conn: &mut PgConnection,
    keys: &[KeyId],
) -> sqlx::Result<HashMap<KeyId, FirstAnswer>> {
    let (principals, routes, values) = columns(keys);
    let select = sqlx::query!(
        // One index lookup for each key, whatever the planner believes of the table's size: see `index_only`.
        r#"SELECT kept.principal AS "principal!", kept.route AS "route!", kept.key AS "key!",
                  kept.fingerprint AS "fingerprint!", kept.status AS "status!", kept.body AS "body!"
           FROM unnest($1::text[], $2::text[], $3::text[]) AS asked (principal, route, key)
           CROSS JOIN LATERAL (
               SELECT * FROM idempotency_key k
               WHERE k.principal = asked.principal AND k.route = asked.route AND k.key = asked.key
               LIMIT 1) AS kept"#,
        &principals,
        &routes,
        &values,
    );
    let rows = postgres::query("ledger_kept", select.fetch_all(conn)).await?;
    let answers = rows.into_iter().map(|row| {
        let key = KeyId { principal: row.principal, route: row.route, value: row.key };
        let success = Success::from_status(row.status)?;
        Ok((key, FirstAnswer { fingerprint: row.fingerprint, success, body: row.body }))
    });
    answers.collect()
}

fn columns(keys: &[KeyId]) -> (Vec<String>, Vec<String>, Vec<String>) {
    let column = |pick: fn(&KeyId) -> &String| keys.iter().map(|key| pick(key).clone()).collect();
    (column(|key| &key.principal), column(|key| &key.route), column(|key| &key.value))
}
