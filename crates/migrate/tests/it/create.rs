use sqlx::PgPool;

use crate::bench::Bench;

#[sqlx::test]
async fn create_writes_the_next_pair(db: PgPool) {
    let bench = Bench::with_two(db);
    bench.ok("points create Add-index").await;
    let files = bench.files();
    assert_eq!(files[4..], ["000003_add_index.down.sql", "000003_add_index.up.sql"]);
    bench.ok("points up").await;
    assert!(bench.ok("points version").await.ends_with(" 3\n"));
}

#[sqlx::test]
async fn create_refuses_a_name_that_is_a_path(db: PgPool) {
    let bench = Bench::with_two(db);
    assert_eq!(bench.run("points create ../evil").await.code, 64);
    assert_eq!(bench.files().len(), 4);
}
