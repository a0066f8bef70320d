//! The public API, as JSON over HTTP.

mod actor;
mod body;
mod bookings;
mod hours;
mod line;
mod merchants;
mod offers;
mod sagas;
mod seen;
mod slots;
mod token;

use axum::Router;
use axum::middleware::from_fn_with_state;
use kit::caller::Verifier;
use kit::http::edge;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Bookings;

#[derive(OpenApi)]
#[openapi(
    info(title = "booking", description = "Appointments with a merchant's staff."),
    components(schemas(crate::domain::SagaState)), // named by a filter only
)]
struct Api;

/// Returns the public routes with their description, behind the edge.
pub fn router(bookings: Bookings, verifier: Verifier) -> Router {
    let (routes, openapi) = OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(merchants::create_merchant))
        .routes(routes!(merchants::add_staff, offers::staff))
        .routes(routes!(offers::add_service, offers::services))
        .routes(routes!(offers::offer_services))
        .routes(routes!(hours::set_hours, hours::hours))
        .routes(routes!(hours::close, hours::closures))
        .routes(routes!(hours::reopen))
        .routes(routes!(slots::slots))
        .routes(routes!(bookings::book, bookings::list))
        .routes(routes!(bookings::get))
        .routes(routes!(bookings::hold))
        .routes(routes!(bookings::confirm))
        .routes(routes!(bookings::reschedule))
        .routes(routes!(bookings::cancel))
        .routes(routes!(bookings::no_show))
        .routes(routes!(bookings::complete))
        .merge(administration())
        .with_state(bookings.clone())
        .split_for_parts();
    let routes = routes.layer(from_fn_with_state(bookings, seen::after_commands));
    edge(routes, openapi, verifier)
}

/// The routes of memberships, messages and payments.
fn administration() -> OpenApiRouter<Bookings> {
    OpenApiRouter::new()
        .routes(routes!(offers::edit_service))
        .routes(routes!(merchants::link_staff, merchants::unlink_staff))
        .routes(routes!(line::notifications))
        .routes(routes!(line::connect_line, line::disconnect_line))
        .routes(routes!(line::join_line, line::leave_line))
        .routes(routes!(line::prove_line))
        .routes(routes!(merchants::close_merchant))
        .routes(routes!(merchants::hand_over))
        .routes(routes!(sagas::sagas))
        .routes(routes!(sagas::saga))
}
