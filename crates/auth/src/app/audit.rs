use observability::context;
use sqlx::PgConnection;

use super::gate::Secret;
use super::{Auth, Error};
use crate::domain::{Actor, Email, Network};
use crate::metrics;
use crate::store::events::{self, Event};

impl Auth {
    /// Records a security event in the database and in the log, which a thief of the database cannot change. The
    /// network comes from the request's context.
    pub(super) async fn record(
        &self,
        tx: &mut PgConnection,
        event: Event<'_>,
    ) -> Result<(), Error> {
        events::record(tx, self.clock.id(), &event, network().as_ref()).await?;
        log(&event);
        Ok(())
    }

    /// Records that guesses at a secret of this address are refused for a while. An unknown address costs the same.
    pub(super) async fn record_lock(
        &self,
        tx: &mut PgConnection,
        email: &Email,
        secret: Secret,
    ) -> Result<(), Error> {
        let (kind, label) = match secret {
            Secret::Password => ("sign_in_locked", "password"),
            Secret::Code => ("codes_locked", "code"),
        };
        let event = Event::new(kind, Actor::Stranger);
        let (id, network) = (self.clock.id(), network());
        let member = events::record_for(tx, id, &event, network.as_ref(), email).await?;
        log(&event.of(member));
        metrics::locked(label);
        Ok(())
    }
}

/// Writes one line of the audit log. Refused secrets are only there: they are many, and cost a stranger nothing.
pub(super) fn log(event: &Event<'_>) {
    tracing::info!(
        target: "audit",
        event = event.kind,
        actor_id = event.by.id().map(tracing::field::display),
        actor_role = event.by.role(),
        client_id = event.by.client().or(event.client),
        member_id = event.member.map(tracing::field::display),
        session_id = event.session.map(tracing::field::display),
        network = network().map(tracing::field::display),
        "security event"
    );
}

/// The network of the request: a whole address is personal data, and a thief has more than one.
fn network() -> Option<Network> {
    context::client_ip().map(Network::of)
}
