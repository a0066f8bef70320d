//! The servers under test: the points service as it runs in production, on a database full of accounts;
//! and a route that does nothing.

use std::net::SocketAddr;

use ::points::app::Points;
use axum::Router;
use axum::routing::get;
use clap::Parser as _;
use kit::caller::Role;
use kit::config::{Edge, Limits, Listen, Postgres, Tls};
use kit::health::Health;
use kit::redis::Redis;
use kit::serve::{Listeners, Servers};
use kit::{Clock, postgres};
use observability::Config as Observability;
use sqlx::PgPool;
use testkit::tokens::Issuer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Serve, Stores, What};
use crate::server::Greeting;

pub(crate) const ACCOUNTS: u64 = 100_000;

/// The id of the nth account.
pub(crate) fn account(n: u64) -> String {
    format!("00000000-0000-7000-8000-{n:012x}")
}

/// Says where it is, and serves until it is killed.
pub(crate) async fn serve(serve: &Serve) -> anyhow::Result<()> {
    if serve.what == What::Bare {
        return bare().await;
    }
    let observability = Observability {
        otlp_endpoint: serve.otlp.clone(),
        trace_ratio: serve.trace_ratio,
        ..Observability::default()
    };
    let _telemetry = observability::init("points", "bench", &observability)?;
    let issuer = Issuer::new();
    let servers = match serve.what {
        What::Points => points(&issuer, Stores::parse_from([""])).await?,
        What::Noop | What::Bare => noop(&issuer)?,
    };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listen = Listen {
        http_listen: any,
        grpc_listen: any,
        admin_listen: any,
        limits: Limits::default(),
        // A quota counts like any other, however large.
        edge: Edge { rate_limit: "1000000/1s".parse()?, ..Edge::default() },
        tls: Tls::default(),
    };
    let listeners = Listeners::bind(&listen)?;
    let addresses = listeners.addresses()?;
    greet(&Greeting {
        http: addresses.http,
        admin: Some(addresses.admin),
        operator: issuer.with_roles(Clock::system().id(), &[Role::Operator]),
    })?;
    listeners.serve(servers, CancellationToken::new()).await;
    Ok(())
}

async fn points(issuer: &Issuer, stores: Stores) -> anyhow::Result<Servers> {
    let owner = PgPool::connect(&stores.owner_url).await?;
    ::points::MIGRATOR.run(&owner).await?;
    sqlx::query(
        "INSERT INTO account (account_id, member_id, opened_at)
         SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, gen_random_uuid(), now()
         FROM generate_series(0, 99999) AS n ON CONFLICT DO NOTHING",
    )
    .execute(&owner)
    .await?;
    owner.close().await;

    let database = Postgres::new(stores.app_url);
    let db = postgres::connect(&database, "points", &::points::MIGRATOR).await?;
    let redis = Redis::new(&stores.redis, "points", &testkit::redis::secret())?;
    let points = Points::new(db.clone(), redis.clone(), Clock::system());
    Ok(Servers {
        http: ::points::http::router(points.clone(), issuer.verifier()),
        grpc: ::points::grpc::routes(points, issuer.verifier()),
        health: Health::new("points", db, redis),
    })
}

/// A route that does nothing, as a service would have it.
fn noop(issuer: &Issuer) -> anyhow::Result<Servers> {
    let api = utoipa::openapi::OpenApiBuilder::new().build();
    // Nobody connects to it: the admin port wants to know about some database.
    let db = PgPool::connect_lazy("postgres://127.0.0.1:1/none")?;
    Ok(Servers {
        http: kit::http::edge(routes(), api, issuer.verifier()),
        grpc: tonic::service::Routes::default(),
        health: Health::new("points", db, Redis::disabled()),
    })
}

fn routes() -> Router {
    Router::new().route("/v1/nothing", get(|| async { "" }))
}

async fn bare() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let http = listener.local_addr()?;
    greet(&Greeting { http, admin: None, operator: String::new() })?;
    axum::serve(listener, routes()).await?;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "standard output is the log")]
fn greet(greeting: &Greeting) -> anyhow::Result<()> {
    eprintln!("{}", serde_json::to_string(greeting)?);
    Ok(())
}
