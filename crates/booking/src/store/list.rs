//! The list of bookings, built with `sea-query` because its shape depends on the filter.

use kit::postgres::query;
use sea_query::{Expr, ExprTrait as _, Func, Iden, Order, PostgresQueryBuilder, Query};
use sea_query_sqlx::SqlxBinder as _;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::bookings::Row;
use crate::domain::{Booking, Status};
use crate::view::{Filter, Place};

#[derive(Iden)]
enum BookingTable {
    #[iden = "booking"]
    Table,
    BookingId,
    MerchantId,
    StaffId,
    MemberId,
    ServiceId,
    During,
    BufferMinutes,
    Status,
    ExpiresAt,
    PriceMinor,
    PointsPaid,
    PointsValueMinor,
    CreatedAt,
}

/// Returns a member's bookings, the latest appointment first, after this place.
pub(crate) async fn list_bookings(
    conn: &mut PgConnection,
    member: Uuid,
    filter: &Filter,
    after: Option<Place>,
    limit: u64,
) -> sqlx::Result<Vec<Booking>> {
    use BookingTable as B;
    // Spelled as in the index `booking_of_member`.
    let starts_at = || Expr::from(Func::lower(Expr::col(B::During)));
    let is_over = || Expr::col(B::ExpiresAt).lte(Expr::current_timestamp());
    let is = |status: Status| Expr::col(B::Status).eq(status.as_str());
    // A hold may have expired before the job marks it.
    let has = |status| match status {
        Status::Held => is(status).and(is_over().not()),
        Status::Expired => is(status).or(is(Status::Held).and(is_over())),
        _ => is(status),
    };
    let paid_value = || Func::coalesce([Expr::col(B::PointsValueMinor), Expr::col(B::PointsPaid)]);
    let place = || Expr::tuple([starts_at(), Expr::col(B::BookingId)]);

    let (sql, values) = Query::select()
        .columns([B::BookingId, B::MerchantId, B::StaffId, B::MemberId, B::ServiceId])
        .expr_as(starts_at(), "starts_at")
        .expr_as(Func::upper(Expr::col(B::During)), "ends_at")
        .expr_as(is_over(), "is_over")
        .columns([B::BufferMinutes, B::Status, B::ExpiresAt, B::PriceMinor, B::PointsPaid])
        .expr_as(paid_value(), "points_value_minor")
        .column(B::CreatedAt)
        .from(B::Table)
        .and_where(Expr::col(B::MemberId).eq(member))
        .and_where_option(filter.status.map(has))
        .and_where_option(filter.from.map(|from| starts_at().gte(from)))
        .and_where_option(filter.to.map(|to| starts_at().lt(to)))
        .and_where_option(
            after.map(|(start, id)| place().lt(Expr::tuple([Expr::value(start), Expr::value(id)]))),
        )
        .order_by_expr(starts_at(), Order::Desc)
        .order_by(B::BookingId, Order::Desc)
        .limit(limit)
        .build_sqlx(PostgresQueryBuilder);

    // Safe: every value is bound.
    let select = sqlx::query_as_with::<_, Row, _>(AssertSqlSafe(sql), values);
    let rows = query("list_bookings", select.fetch_all(conn)).await?;
    rows.into_iter().map(Booking::try_from).collect()
}
