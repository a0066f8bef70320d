use kit::postgres;
use sea_query::{Expr, ExprTrait as _, Iden, Order, PostgresQueryBuilder, Query};
use sea_query_sqlx::SqlxBinder as _;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::app::{Filter, Incident};

#[derive(Iden)]
#[iden = "incident"]
enum Table {
    Table,
    IncidentId,
    Title,
    Severity,
    ClassificationUncertain,
    Status,
    Service,
    Incomplete,
    StartedAt,
    OpenedAt,
    ResolvedAt,
}

/// Incidents older than `before`, newest first. Built, because its shape depends on the filter.
pub(crate) async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    before: Option<Uuid>,
    limit: u64,
) -> sqlx::Result<Vec<Incident>> {
    let (sql, values) = Query::select()
        .columns([
            Table::IncidentId,
            Table::Title,
            Table::Severity,
            Table::ClassificationUncertain,
            Table::Status,
            Table::Service,
            Table::Incomplete,
            Table::StartedAt,
            Table::OpenedAt,
            Table::ResolvedAt,
        ])
        .from(Table::Table)
        .and_where_option(before.map(|id| Expr::col(Table::IncidentId).lt(id)))
        .and_where_option(filter.status.map(|s| Expr::col(Table::Status).eq(s.as_str())))
        .and_where_option(filter.severity.map(|s| Expr::col(Table::Severity).eq(s.as_str())))
        .order_by(Table::IncidentId, Order::Desc)
        .limit(limit)
        .build_sqlx(PostgresQueryBuilder);

    let select = sqlx::query_as_with(AssertSqlSafe(sql), values);
    postgres::query("incident_list", select.fetch_all(conn)).await
}
