//! The rules as constraints of the database.

use sqlx::postgres::PgDatabaseError;
use sqlx::{AssertSqlSafe, PgPool};

use crate::app::{App, Shop};

/// Inserts a booking past the service, and says what refused it: a constraint, or the column that
/// may not be NULL.
async fn insert(app: &App, values: &str) -> Result<(), String> {
    let sql = format!(
        "INSERT INTO booking (booking_id, merchant_id, staff_id, member_id, during, status,
                              price_minor, created_at, updated_at, expires_at)
         SELECT gen_random_uuid(), merchant_id, staff_id, gen_random_uuid(), during, status,
                price_minor, now(), now(), CASE WHEN status = 'held' THEN now() END
         FROM staff, (VALUES ({values})) AS wish (during, status, price_minor)"
    );
    let Err(error) = sqlx::query(AssertSqlSafe(sql)).execute(&app.db).await else { return Ok(()) };
    let error = error.as_database_error().unwrap().downcast_ref::<PgDatabaseError>();
    Err(error.constraint().or(error.column()).unwrap_or(error.message()).to_owned())
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn every_hole_of_the_exclusion_constraint_is_closed_by_name(db: PgPool) {
    let app = App::new(db);
    app.shop().await;
    insert(&app, "'[2030-01-01 10:00Z, 2030-01-01 11:00Z)'::tstzrange, 'confirmed', 1")
        .await
        .unwrap();

    for (refused_by, during) in [
        ("booking_interval_not_empty", "'empty'"),
        ("booking_interval_not_empty", "'[2030-01-01 10:30Z, 2030-01-01 10:30Z)'"),
        ("booking_interval_finite", "'[2030-01-02 10:00Z,)'"),
        ("booking_interval_finite", "'(,2030-01-02 10:00Z)'"),
        ("booking_interval_finite", "'(,)'"),
        ("booking_interval_finite", "'[2030-01-02 10:00Z, infinity)'"),
        ("booking_interval_finite", "'[-infinity, 2030-01-02 10:00Z)'"),
        ("booking_interval_half_open", "'[2030-01-02 10:00Z, 2030-01-02 11:00Z]'"),
        ("booking_interval_half_open", "'(2030-01-02 10:00Z, 2030-01-02 11:00Z)'"),
        ("booking_interval_length", "'[2030-01-02 10:00Z, 2030-01-02 10:04:59Z)'"),
        ("booking_interval_length", "'[2030-01-02 10:00Z, 2030-01-02 22:00:01Z)'"),
        ("during", "NULL"),
        ("no_overlap_bookings", "'[2030-01-01 10:00Z, 2030-01-01 11:00Z)'"),
        ("no_overlap_bookings", "'[2030-01-01 10:59:59Z, 2030-01-01 12:00Z)'"),
    ] {
        let refused = insert(&app, &format!("{during}::tstzrange, 'confirmed', 1")).await;
        assert_eq!(refused, Err(refused_by.to_owned()), "{during}");
    }
    assert_eq!(app.count("booking").await, 1);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn every_state_that_holds_a_slot_keeps_others_out(db: PgPool) {
    let app = App::new(db);
    app.shop().await;
    let at = |hour, status| {
        format!("'[2030-01-01 {hour}:00Z, 2030-01-01 {hour}:30Z)'::tstzrange, '{status}', 1")
    };

    for (hour, held) in [(10, "held"), (11, "confirmed"), (12, "completed")] {
        insert(&app, &at(hour, held)).await.unwrap();
        for other in ["held", "confirmed", "completed"] {
            assert_eq!(insert(&app, &at(hour, other)).await.unwrap_err(), "no_overlap_bookings");
        }
    }
    for (hour, freed) in [(14, "cancelled"), (15, "no_show"), (16, "expired")] {
        insert(&app, &at(hour, freed)).await.unwrap();
        insert(&app, &at(hour, "confirmed")).await.unwrap();
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_row_is_whole_and_its_words_and_numbers_are_known(db: PgPool) {
    let app = App::new(db);
    let Shop { merchant, .. } = app.shop().await;
    let hour = "'[2030-01-01 10:00Z, 2030-01-01 11:00Z)'::tstzrange";
    for (refused_by, rest) in [
        ("booking_status_known", "'done', 1"),
        ("booking_price_range", "'confirmed', -1"),
        ("booking_price_range", "'confirmed', 1000000001"),
        ("status", "NULL::text, 1"),
        ("price_minor", "'confirmed', NULL::bigint"),
    ] {
        assert_eq!(insert(&app, &format!("{hour}, {rest}")).await.unwrap_err(), refused_by);
    }

    insert(&app, &format!("{hour}, 'confirmed', 1")).await.unwrap();
    for column in ["booking_id", "merchant_id", "staff_id", "member_id"] {
        let sql = AssertSqlSafe(format!("UPDATE booking SET {column} = NULL"));
        let error = sqlx::query(sql).execute(&app.db).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "23502", "{column}");
    }

    for (refused_by, change) in [
        ("booking_hold_expires", "status = 'held'"),
        ("booking_buffer_fits", "buffer_minutes = 56"),
        ("booking_buffer_fits", "buffer_minutes = -1"),
        ("booking_points_paid_range", "points_paid = -1"),
        ("booking_points_value_range", "points_paid = 2"),
        ("booking_points_value_range", "points_paid = 5, points_value_minor = 2"),
        ("booking_points_value_range", "points_value_minor = 1"),
        ("booking_wall_time_whole", "wall_zone = 'UTC'"),
    ] {
        let sql = AssertSqlSafe(format!("UPDATE booking SET {change}"));
        let error = sqlx::query(sql).execute(&app.db).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().constraint(), Some(refused_by));
    }

    // Staff of another merchant is no staff of this one.
    let other = app.shop_of(crate::app::member(9)).await;
    let error = sqlx::query("UPDATE booking SET staff_id = $1 WHERE merchant_id = $2")
        .bind(other.staff)
        .bind(merchant)
        .execute(&app.db)
        .await
        .unwrap_err();
    assert_eq!(error.as_database_error().unwrap().constraint(), Some("booking_staff_exists"));
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn the_services_role_cannot_rewrite_what_was_agreed(db: PgPool) {
    let app = App::new(db);
    app.shop().await;
    let service = crate::app::service_pool(&app.db);

    for sql in [
        "DELETE FROM booking",
        "DELETE FROM booking_archive",
        "SELECT FROM booking_archive",
        "TRUNCATE booking",
        "UPDATE booking SET price_minor = 0",
        "UPDATE booking SET buffer_minutes = 0",
        "UPDATE booking SET service_id = NULL",
        "UPDATE booking SET member_id = gen_random_uuid()",
        "UPDATE merchant SET currency = 'USD'",
        "UPDATE merchant SET time_zone = 'UTC'",
        "UPDATE saga SET points = 1",
        "DELETE FROM staff",
        "UPDATE service SET merchant_id = gen_random_uuid()",
        "ALTER TABLE booking DROP CONSTRAINT no_overlap_bookings",
    ] {
        let error = sqlx::query(sql).execute(&service).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501", "{sql}");
    }
}
