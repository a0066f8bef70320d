//! The service as it runs in production, in this process.

use std::net::SocketAddr;
use std::sync::Arc;

use booking::app::Bookings;
use booking::domain::{Saga, Step, StepAnswer};
use booking::peers::{Earned, Grant, MembershipChange, Points, Purchase};
use kit::caller::Role;
use kit::config::{Edge, Limits, Listen, Postgres, Tls};
use kit::health::Health;
use kit::redis::Redis;
use kit::serve::{Listeners, Servers};
use kit::{Clock, postgres};
use testkit::tokens::Issuer;
use tokio_util::sync::CancellationToken;
use tonic::async_trait;
use uuid::Uuid;

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) http: SocketAddr,
    issuer: Issuer,
}

impl Server {
    pub(crate) async fn start(url: &str, redis: &kit::config::Redis) -> anyhow::Result<Self> {
        let db = postgres::connect(&Postgres::new(url), "booking", &booking::MIGRATOR).await?;
        let redis = Redis::new(redis, "booking", &testkit::redis::secret())?;
        let issuer = Issuer::new();
        let bookings = Bookings::new(db.clone(), Clock::system(), Arc::new(Nobody));
        // One member asks for all of them.
        let bookings = bookings.with_limits(u32::MAX, u32::MAX);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listen = Listen {
            http_listen: any,
            grpc_listen: any,
            admin_listen: any,
            limits: Limits::default(),
            edge: Edge { rate_limit: "1000000/1s".parse()?, ..Edge::default() },
            tls: Tls::default(),
        };
        let listeners = Listeners::bind(&listen)?;
        let http = listeners.addresses()?.http;
        let servers = Servers {
            http: booking::http::router(bookings.clone(), issuer.verifier()),
            grpc: booking::grpc::routes(bookings, issuer.verifier()),
            health: Health::new("booking", db, redis),
        };
        tokio::spawn(listeners.serve(servers, CancellationToken::new()));
        Ok(Self { http, issuer })
    }

    /// A member of their own.
    pub(crate) fn member(&self) -> String {
        self.issuer.member(Clock::system().id())
    }

    /// Whoever has this id, as the owner of what is theirs.
    pub(crate) fn token(&self, who: Uuid) -> String {
        self.issuer.with_roles(who, &[Role::Member, Role::MerchantAdmin])
    }
}

/// Nobody pays with points here.
struct Nobody;

#[async_trait]
impl Points for Nobody {
    async fn earn(&self, _: Purchase) -> anyhow::Result<Earned> {
        anyhow::bail!("there is no ledger")
    }

    async fn change_membership(&self, _: MembershipChange) -> anyhow::Result<()> {
        Ok(())
    }

    async fn step(&self, _: &Saga, _: Step, _: Option<&Grant>) -> anyhow::Result<StepAnswer> {
        anyhow::bail!("there is no ledger")
    }
}
