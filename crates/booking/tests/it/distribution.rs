//! The tables can be spread over many servers by merchant: `docs/scaling.md`.

use sqlx::PgPool;

/// The tables of kit, and those that follow the command they belong to: `docs/scaling.md` says why
/// they are not spread by merchant.
const PLATFORM: [&str; 4] =
    ["_sqlx_migrations", "idempotency_key", "inbox_message", "outbox_event"];

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_merchants_id_is_in_every_key_and_every_reference(db: PgPool) {
    // A primary key, a unique one and an exclusion are an index each; what it INCLUDEs is no key.
    let without: Vec<String> = sqlx::query_scalar(
        "SELECT owner.relname || ': ' || key.relname
         FROM pg_index
         JOIN pg_class owner ON owner.oid = indrelid JOIN pg_class key ON key.oid = indexrelid
         WHERE owner.relnamespace = 'public'::regnamespace AND owner.relname <> ALL($1)
           AND (indisunique OR indisexclusion)
           AND NOT EXISTS (
               SELECT FROM pg_attribute
               WHERE attrelid = indrelid AND attname = 'merchant_id' AND attnotnull
                 AND attnum = ANY((indkey::int2[])[0:indnkeyatts - 1]))
         UNION ALL
         SELECT owner.relname || ': no primary key' FROM pg_class owner
         WHERE owner.relnamespace = 'public'::regnamespace AND owner.relname <> ALL($1)
           AND owner.relkind IN ('r', 'p')
           AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = owner.oid AND indisprimary)
         UNION ALL
         SELECT owner.relname || ': ' || conname
         FROM pg_constraint JOIN pg_class owner ON owner.oid = conrelid
         WHERE contype = 'f' AND owner.relnamespace = 'public'::regnamespace
           AND NOT EXISTS (
               SELECT FROM unnest(conkey, confkey) AS pair (mine, its)
               JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = mine
               JOIN pg_attribute b ON b.attrelid = confrelid AND b.attnum = its
               WHERE a.attname = 'merchant_id' AND b.attname = 'merchant_id')",
    )
    .bind(PLATFORM.map(str::to_owned).to_vec())
    .fetch_all(&db)
    .await
    .unwrap();
    assert_eq!(without, [""; 0], "these cannot hold where another merchant's rows are elsewhere");
}
