use kit::postgres;
use sea_query::{Expr, ExprTrait as _, Iden, Order, PostgresQueryBuilder, Query};
use sea_query_sqlx::SqlxBinder as _;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::app::{Filter, Incident};

#[derive(Iden)]
#[iden = "incident"]
enum IncidentTable {
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
            IncidentTable::IncidentId,
            IncidentTable::Title,
            IncidentTable::Severity,
            IncidentTable::ClassificationUncertain,
            IncidentTable::Status,
            IncidentTable::Service,
            IncidentTable::Incomplete,
            IncidentTable::StartedAt,
            IncidentTable::OpenedAt,
            IncidentTable::ResolvedAt,
        ])
        .from(IncidentTable::Table)
        .and_where_option(before.map(|id| Expr::col(IncidentTable::IncidentId).lt(id)))
        .and_where_option(filter.status.map(|s| Expr::col(IncidentTable::Status).eq(s.as_str())))
        .and_where_option(
            filter.severity.map(|s| Expr::col(IncidentTable::Severity).eq(s.as_str())),
        )
        .order_by(IncidentTable::IncidentId, Order::Desc)
        .limit(limit)
        .build_sqlx(PostgresQueryBuilder);

    let select = sqlx::query_as_with(AssertSqlSafe(sql), values);
    postgres::query("incident_list", select.fetch_all(conn)).await
}
