use kit::postgres;
use sea_query::{Expr, ExprTrait as _, Iden, Order, PostgresQueryBuilder, Query};
use sea_query_sqlx::SqlxBinder as _;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::view::{Filter, Incident, Stage};

#[derive(Iden)]
#[iden = "incident"]
enum IncidentTable {
    Table,
    IncidentId,
    Number,
    Title,
    Severity,
    Verified,
    ClassificationUncertain,
    Rule,
    Status,
    Service,
    Incomplete,
    StartedAt,
    OpenedAt,
    AcknowledgedAt,
    ResolvedAt,
    ResponseDue,
    ResolutionDue,
    ResponseBreachedAt,
    ResolutionBreachedAt,
    MergedInto,
    Resolution,
}

#[derive(Iden)]
#[iden = "incident_service"]
enum ServiceTable {
    Table,
    IncidentId,
    Service,
}

/// Lists incidents older than `before`, newest first. The query is built, because its shape depends on the filter.
pub(crate) async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    before: Option<Uuid>,
    limit: u64,
) -> sqlx::Result<Vec<Incident>> {
    use IncidentTable as I;
    let stage = filter.stage.map(|stage| match stage {
        Stage::Open => Expr::col(I::ResolvedAt).is_null(),
        Stage::At(status) => Expr::col(I::Status).eq(status.as_str()),
    });
    let affects = filter.service.as_ref().map(|service| {
        let affected = Query::select()
            .column(ServiceTable::IncidentId)
            .from(ServiceTable::Table)
            .and_where(Expr::col(ServiceTable::Service).eq(service.as_str()))
            .take();
        Expr::col(I::IncidentId).in_subquery(affected)
    });
    let acknowledged = filter.acknowledged.map(|yes| {
        let column = Expr::col(I::AcknowledgedAt);
        if yes { column.is_not_null() } else { column.is_null() }
    });
    let (sql, values) = Query::select()
        .columns([
            I::IncidentId,
            I::Number,
            I::Title,
            I::Severity,
            I::Verified,
            I::ClassificationUncertain,
            I::Rule,
            I::Status,
            I::Service,
            I::Incomplete,
            I::StartedAt,
            I::OpenedAt,
            I::AcknowledgedAt,
            I::ResolvedAt,
            I::ResponseDue,
            I::ResolutionDue,
            I::ResponseBreachedAt,
            I::ResolutionBreachedAt,
            I::MergedInto,
            I::Resolution,
        ])
        .from(I::Table)
        .and_where_option(before.map(|id| Expr::col(I::IncidentId).lt(id)))
        .and_where_option(stage)
        .and_where_option(filter.severity.map(|s| Expr::col(I::Severity).eq(s.as_str())))
        .and_where_option(affects)
        .and_where_option(acknowledged)
        .and_where_option(filter.verified.map(|yes| Expr::col(I::Verified).eq(yes)))
        .order_by(I::IncidentId, Order::Desc)
        .limit(limit)
        .build_sqlx(PostgresQueryBuilder);

    let select = sqlx::query_as_with(AssertSqlSafe(sql), values);
    postgres::query("incident_list", select.fetch_all(conn)).await
}
