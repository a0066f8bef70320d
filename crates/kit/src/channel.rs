//! A channel to another service: one connection to each of its addresses.

pub(crate) mod tls;

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use http::Uri;
use tokio::sync::mpsc::Sender;
use tonic::transport::channel::Change;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::config::PeerTls;

/// Time between two look-ups of a name. A new replica gets its share of calls after this time.
const REFRESH: Duration = Duration::from_secs(5);
/// Time between two look-ups of a name that is not known yet.
const RETRY: Duration = Duration::from_millis(500);

/// Creates a lazy channel to `url` (http://host:port). The name is looked up periodically, and calls are
/// spread over all its addresses; one connection would send them all to one replica (Kubernetes: use the
/// headless service). For an address there is one connection.
pub(crate) fn channel(url: &str, config: &PeerTls) -> anyhow::Result<Channel> {
    let uri: Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
    let host = uri.host().with_context(|| format!("{url} names no host"))?;
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let tls = tls::client(&uri, config)?;
    if literal.is_ok() {
        return Ok(endpoint(url, tls.as_ref())?.connect_lazy());
    }
    // The certificate contains the name, whichever address answers.
    let tls = tls.map(|tls| tls.domain_name(host));
    let port = uri.port_u16().with_context(|| format!("{url} names no port"))?;
    let name = format!("{host}:{port}");
    Ok(balanced(REFRESH, tls, move || {
        let name = name.clone();
        async move { tokio::net::lookup_host(name).await.map(Iterator::collect) }
    }))
}

/// Creates a channel over every address that `look_up` returns, repeated every `refresh` until the channel is
/// dropped.
fn balanced<L>(
    refresh: Duration,
    tls: Option<ClientTlsConfig>,
    look_up: impl Fn() -> L + Send + 'static,
) -> Channel
where
    L: Future<Output = io::Result<HashSet<SocketAddr>>> + Send,
{
    let (channel, changes) = Channel::balance_channel(64);
    tokio::spawn(async move {
        let mut known = HashSet::new();
        loop {
            // A failed or empty look-up does not invalidate the known addresses.
            match look_up().await {
                Ok(found) if !found.is_empty() => {
                    if follow(&changes, tls.as_ref(), &known, &found).await.is_none() {
                        return;
                    }
                    known = found;
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a peer's name cannot be looked up"),
            }
            let pause = if known.is_empty() { RETRY } else { refresh };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = changes.closed() => return,
            }
        }
    });
    channel
}

/// Adds new addresses to the channel and removes old ones. `None` when the channel was dropped.
async fn follow(
    changes: &Sender<Change<SocketAddr, Endpoint>>,
    tls: Option<&ClientTlsConfig>,
    known: &HashSet<SocketAddr>,
    found: &HashSet<SocketAddr>,
) -> Option<()> {
    for new in found.difference(known) {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = endpoint(&format!("{scheme}://{new}"), tls).ok()?;
        changes.send(Change::Insert(*new, endpoint)).await.ok()?;
    }
    for gone in known.difference(found) {
        changes.send(Change::Remove(*gone)).await.ok()?;
    }
    Some(())
}

/// Creates a connection that is replaced when the peer does not answer pings.
fn endpoint(url: &str, tls: Option<&ClientTlsConfig>) -> anyhow::Result<Endpoint> {
    let plain = Endpoint::from_shared(url.to_owned())?;
    let endpoint = tls.map_or(Ok(plain.clone()), |tls| plain.tls_config(tls.clone()))?;
    Ok(endpoint
        .connect_timeout(Duration::from_secs(1))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tonic::transport::Server;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    /// A server that only ever says that it is not found: that is an answer, and it can be counted.
    async fn replica() -> (SocketAddr, Arc<Mutex<u32>>) {
        let calls = Arc::new(Mutex::new(0));
        let counted = calls.clone();
        let count = move |request: tonic::Request<()>| {
            *counted.lock().unwrap() += 1;
            Ok(request)
        };
        let (_, health) = tonic_health::server::health_reporter();
        let health = tonic::service::interceptor::InterceptedService::new(health, count);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        tokio::spawn(Server::builder().add_service(health).serve_with_incoming(incoming));
        (address, calls)
    }

    type Names = Arc<Mutex<io::Result<HashSet<SocketAddr>>>>;

    fn to(names: &Names) -> HealthClient<Channel> {
        let names = names.clone();
        HealthClient::new(balanced(Duration::from_millis(10), None, move || {
            let now = match &*names.lock().unwrap() {
                Ok(found) => Ok(found.clone()),
                Err(error) => Err(io::Error::from(error.kind())),
            };
            std::future::ready(now)
        }))
    }

    async fn call(client: &mut HealthClient<Channel>) {
        let answer = client.check(HealthCheckRequest { service: "none".into() });
        let answer = tokio::time::timeout(SOON, answer).await.unwrap();
        assert_eq!(answer.unwrap_err().code(), tonic::Code::NotFound);
    }

    /// Calls until `done`, and says how often each replica was called meanwhile.
    async fn until<const N: usize>(
        client: &mut HealthClient<Channel>,
        replicas: [&Mutex<u32>; N],
        done: impl Fn([u32; N]) -> bool,
    ) {
        let end = tokio::time::Instant::now() + SOON;
        let before = replicas.map(|calls| *calls.lock().unwrap());
        loop {
            call(client).await;
            let more = std::array::from_fn(|i| *replicas[i].lock().unwrap() - before[i]);
            if done(more) {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "calls per replica: {more:?}");
        }
    }

    #[tokio::test]
    async fn calls_go_to_every_address_of_the_name_and_follow_its_changes() {
        let (first, to_first) = replica().await;
        let (second, to_second) = replica().await;
        let names: Names = Arc::new(Mutex::new(Ok(HashSet::from([first, second]))));
        let mut client = to(&names);
        until(&mut client, [&to_first, &to_second], |[a, b]| a >= 20 && b >= 20).await;

        // One goes: once that is known, it gets nothing at all.
        *names.lock().unwrap() = Ok(HashSet::from([first]));
        let end = tokio::time::Instant::now() + SOON;
        loop {
            let before = *to_second.lock().unwrap();
            for _ in 0..50 {
                call(&mut client).await;
            }
            if *to_second.lock().unwrap() == before {
                break;
            }
            assert!(tokio::time::Instant::now() < end, "a replica without a name is still called");
        }

        // No name server: those known stay.
        *names.lock().unwrap() = Err(io::ErrorKind::TimedOut.into());
        until(&mut client, [&to_first], |[a]| a >= 50).await;
        *names.lock().unwrap() = Ok(HashSet::new());
        until(&mut client, [&to_first], |[a]| a >= 50).await;

        // A new one comes.
        let (third, to_third) = replica().await;
        *names.lock().unwrap() = Ok(HashSet::from([first, third]));
        until(&mut client, [&to_first, &to_third], |[a, b]| a >= 20 && b >= 20).await;
    }

    #[tokio::test]
    async fn a_name_that_comes_late_is_found() {
        let names: Names = Arc::new(Mutex::new(Err(io::ErrorKind::NotFound.into())));
        let mut client = to(&names);
        let asked = tokio::spawn(async move { call(&mut client).await });
        tokio::task::yield_now().await;
        let (address, _) = replica().await;
        *names.lock().unwrap() = Ok(HashSet::from([address]));
        asked.await.unwrap();
    }

    #[tokio::test]
    async fn a_url_needs_a_host_and_a_port() {
        for url in ["", "auth", "http://", "http://auth", "http://auth:x"] {
            assert!(channel(url, &PeerTls::default()).is_err(), "{url}");
        }
        for url in ["http://auth:50051", "http://127.0.0.1:1", "http://[::1]:1"] {
            assert!(channel(url, &PeerTls::default()).is_ok(), "{url}");
        }
    }
}
