//! The points service as it runs in production, in this process, on a database full of accounts.

use std::net::SocketAddr;

use ::points::app::Points;
use kit::caller::Role;
use kit::config::{self, Limits, Listen};
use kit::health::Health;
use kit::redis::Redis;
use kit::serve::{Listeners, Servers};
use kit::{Clock, postgres};
use sqlx::PgPool;
use testkit::tokens::Issuer;
use tokio_util::sync::CancellationToken;

use crate::config::Config;

pub(crate) const ACCOUNTS: u64 = 100_000;

#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) http: SocketAddr,
    pub(crate) operator: String,
}

impl Service {
    pub(crate) async fn start(config: &Config) -> anyhow::Result<Self> {
        let owner = PgPool::connect(&config.owner_url).await?;
        ::points::MIGRATOR.run(&owner).await?;
        sqlx::query(
            "INSERT INTO account (account_id, member_id, opened_at)
             SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, gen_random_uuid(), now()
             FROM generate_series(0, 99999) AS n ON CONFLICT DO NOTHING",
        )
        .execute(&owner)
        .await?;
        // Not the empty tables: plans for what is known to be empty scan it, and are kept as it grows.
        sqlx::raw_sql("ANALYZE account").execute(&owner).await?;

        let database = config::Postgres::new(config.app_url.clone());
        let db = postgres::connect(&database, "points", &::points::MIGRATOR).await?;
        let redis = Redis::new(&config.redis, "points")?;
        let issuer = Issuer::new();
        let points = Points::new(db.clone(), redis.clone(), Clock::system());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listen = Listen {
            http_listen: any,
            grpc_listen: any,
            admin_listen: any,
            limits: Limits::default(),
            edge: config::Edge::default(),
            tls: config::Tls::default(),
        };
        let listeners = Listeners::bind(&listen)?;
        let http = listeners.addresses()?.http;
        let servers = Servers {
            http: ::points::http::router(points.clone(), issuer.verifier()),
            grpc: ::points::grpc::routes(points, issuer.verifier()),
            health: Health::new("points", db, redis),
        };
        tokio::spawn(listeners.serve(servers, CancellationToken::new()));
        let operator = issuer.with_roles(Clock::system().id(), &[Role::Operator]);
        Ok(Self { http, operator })
    }
}

/// The id of the nth account.
pub(crate) fn account(n: u64) -> String {
    format!("00000000-0000-7000-8000-{n:012x}")
}
