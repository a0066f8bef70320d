//! The console of a service: operators sign in with auth's sessions, which are kept in cookies that no script can
//! read, and send forms that no other site can send.
//!
//! * [`SameOrigin`], [`Operator`] and [`Form`] are what a handler takes.
//! * [`Login`] begins, renews and ends sessions at auth.
//! * [`Console::routes`] adds signing in and out to a service's pages, and renews their sessions.

mod form;
mod login;
mod seal;
mod session;
mod sign_in;

pub use form::{Form, SameOrigin, not_a_choice};
pub use login::Login;
pub use session::Operator;

use axum::Router;
use axum::middleware::from_fn_with_state;
use kit::Clock;
use maud::Markup;
use secrecy::SecretString;

use seal::Seal;

/// Renders a page with this title and content in the frame of the service.
pub type Frame = fn(&str, &Markup) -> Markup;

/// The console of a service. Cheap to clone.
#[derive(Clone)]
pub struct Console {
    login: Login,
    seal: Seal,
    clock: Clock,
    frame: Frame,
}

impl Console {
    /// Builds the console. `secret` seals its sessions, and is the same in every replica.
    pub fn new(
        login: Login,
        secret: &SecretString,
        clock: Clock,
        frame: Frame,
    ) -> anyhow::Result<Self> {
        let seal = Seal::new(secret, login.service())?;
        Ok(Self { login, seal, clock, frame })
    }

    /// Returns `pages` with sessions that are renewed, and the routes to sign in and out.
    pub fn routes<S: Clone + Send + Sync + 'static>(self, pages: Router<S>) -> Router<S> {
        pages
            .layer(from_fn_with_state(self.clone(), session::renew))
            .merge(sign_in::routes().with_state(self))
    }
}
