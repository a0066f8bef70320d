use kit::postgres;
use sea_query::{Expr, ExprTrait as _, Iden, Order, PostgresQueryBuilder, Query};
use sea_query_sqlx::SqlxBinder as _;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::domain::AccountId;
use crate::view::{Entry, HistoryFilter};

#[derive(Iden)]
#[iden = "entry"]
enum EntryTable {
    Table,
    EntryId,
    TransferId,
    AccountId,
    Amount,
    AccountVersion,
    Balance,
}

#[derive(Iden)]
#[iden = "transfer"]
enum TransferTable {
    Table,
    TransferId,
    Kind,
    Reference,
    MerchantId,
    OccurredAt,
}

/// An account's entries below version `before`, newest first. The statement is built, because its shape
/// depends on the filter.
pub(crate) async fn history(
    conn: &mut PgConnection,
    account: AccountId,
    filter: &HistoryFilter,
    before: Option<i64>,
    limit: u64,
) -> sqlx::Result<Vec<Entry>> {
    use {EntryTable as E, TransferTable as T};

    let (sql, values) = Query::select()
        .columns([
            (E::Table, E::EntryId),
            (E::Table, E::TransferId),
            (E::Table, E::Amount),
            (E::Table, E::Balance),
        ])
        .expr_as(Expr::col((E::Table, E::AccountVersion)), "version")
        .columns([
            (T::Table, T::Kind),
            (T::Table, T::Reference),
            (T::Table, T::MerchantId),
            (T::Table, T::OccurredAt),
        ])
        .from(E::Table)
        .inner_join(
            T::Table,
            Expr::col((T::Table, T::TransferId)).equals((E::Table, E::TransferId)),
        )
        .and_where(Expr::col((E::Table, E::AccountId)).eq(account.0))
        .and_where_option(before.map(|v| Expr::col((E::Table, E::AccountVersion)).lt(v)))
        .and_where_option(filter.kind.map(|k| Expr::col((T::Table, T::Kind)).eq(k.as_str())))
        .and_where_option(filter.from.map(|t| Expr::col((T::Table, T::OccurredAt)).gte(t)))
        .and_where_option(filter.to.map(|t| Expr::col((T::Table, T::OccurredAt)).lt(t)))
        .order_by((E::Table, E::AccountVersion), Order::Desc)
        .limit(limit)
        .build_sqlx(PostgresQueryBuilder);

    let select = sqlx::query_as_with(AssertSqlSafe(sql), values);
    postgres::query("entry_history", select.fetch_all(conn)).await
}
