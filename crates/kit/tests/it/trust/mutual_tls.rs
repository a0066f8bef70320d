//! Mutual TLS between services: certificates of other CAs are refused on both sides.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kit::Clock;
use kit::config::{self, PeerTls, Tls};
use kit::grpc::Peer;
use kit::health::Health;
use kit::redis::Redis;
use kit::serve::{Addresses, Listeners, Servers};
use proto::points::v1::EarnRequest;
use proto::points::v1::points_client::PointsClient;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer as Signer, KeyPair};
use sqlx::postgres::PgPoolOptions;
use testkit::auth::FakeAuth;
use testkit::grpc::code;
use testkit::redis::none;
use testkit::tokens::Issuer;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use super::guard::mirror_for_booking;

/// A certificate authority, and a directory for its certificates.
struct Authority {
    signer: Signer<'static, KeyPair>,
    directory: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let directory = std::env::temp_dir().join(format!("mutual-tls-{}", Clock::system().id()));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("ca.pem"), certificate.pem()).unwrap();
        Self { signer: Signer::new(params, key), directory }
    }

    /// Returns the paths of a certificate for this name, its key, and the CA.
    fn sign(&self, name: &str) -> [PathBuf; 3] {
        self.sign_as(name, CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    /// Like [`Self::sign`], with other contents and file names.
    fn sign_as(&self, files: &str, params: CertificateParams) -> [PathBuf; 3] {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.signer).unwrap();
        let file = |suffix: &str| self.directory.join(format!("{files}-{suffix}.pem"));
        let [cert, private] = [file("cert"), file("key")];
        std::fs::write(&cert, certificate.pem()).unwrap();
        std::fs::write(&private, key.serialize_pem()).unwrap();
        [cert, private, self.directory.join("ca.pem")]
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn server_tls([cert, key, ca]: [PathBuf; 3]) -> Tls {
    Tls { grpc_tls_cert: Some(cert), grpc_tls_key: Some(key), grpc_tls_ca: Some(ca) }
}

fn peer_tls([cert, key, ca]: [PathBuf; 3]) -> PeerTls {
    PeerTls { peer_tls_cert: Some(cert), peer_tls_key: Some(key), peer_tls_ca: Some(ca) }
}

fn listen(tls: Tls) -> config::Listen {
    let any = "127.0.0.1:0".parse().unwrap();
    config::Listen {
        http_listen: any,
        grpc_listen: any,
        admin_listen: any,
        limits: config::Limits::default(),
        edge: config::Edge::default(),
        tls,
    }
}

/// A service that booking may call, on real ports.
fn serve(tls: Tls) -> (Addresses, DropGuard) {
    let listeners = Listeners::bind(&listen(tls)).unwrap();
    let at = listeners.addresses().unwrap();
    let nowhere = PgPoolOptions::new().connect_lazy("postgres://x@127.0.0.1:1/x").unwrap();
    let servers = Servers {
        http: axum::Router::new(),
        grpc: mirror_for_booking(Issuer::new().verifier()),
        health: Health::new(
            "points",
            nowhere,
            Redis::new(&none(), "points", &testkit::redis::secret()).unwrap(),
        ),
    };
    let stop = CancellationToken::new();
    tokio::spawn(listeners.serve(servers, stop.clone()));
    (at, stop.drop_guard())
}

/// Calls as booking does.
async fn call(url: &str, tls: PeerTls) -> Result<String, Status> {
    let auth = FakeAuth::new(Issuer::new()).listen().await;
    let config = config::Auth { tls, ..testkit::auth::config(&auth.url, "booking") };
    let mut client = PointsClient::new(Peer::new(url, &config).unwrap());
    Ok(client.earn(EarnRequest::default()).await?.into_inner().entry_id)
}

/// Calls with a valid token, over a given channel.
async fn earn(channel: Channel) -> Result<String, Status> {
    let request = testkit::grpc::request(EarnRequest::default(), &Issuer::new().service("booking"));
    Ok(PointsClient::new(channel).earn(request).await?.into_inner().entry_id)
}

fn pem(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[tokio::test]
async fn services_with_certificates_of_one_authority_talk() {
    let ours = Authority::new();
    let (at, _stop) = serve(server_tls(ours.sign("localhost")));
    let url = format!("https://localhost:{}", at.grpc.port());
    assert_eq!(call(&url, peer_tls(ours.sign("booking"))).await.unwrap(), "booking");
}

#[tokio::test]
async fn nobody_without_a_certificate_of_ours_is_served() {
    let (ours, others) = (Authority::new(), Authority::new());
    let (at, _stop) = serve(server_tls(ours.sign("localhost")));
    let port = at.grpc.port();
    let [_, _, ca] = ours.sign("unused");
    let trusting = || ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem(&ca)));
    let [cert, key, _] = others.sign("booking");
    let foreign = trusting().identity(Identity::from_pem(pem(&cert), pem(&key)));
    for (who, tls) in [("nobody", trusting()), ("another CA", foreign)] {
        let endpoint = Endpoint::from_shared(format!("https://localhost:{port}")).unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect_lazy();
        let refused = earn(channel).await.expect_err(who);
        assert_ne!(refused.code(), Code::Unauthenticated, "{who}: it got past the handshake");
    }
    let plain = Endpoint::from_shared(format!("http://localhost:{port}")).unwrap().connect_lazy();
    earn(plain).await.expect_err("plaintext");
    // With the right certificate the same call is answered.
    let [cert, key, _] = ours.sign("booking");
    let right = trusting().identity(Identity::from_pem(pem(&cert), pem(&key)));
    let endpoint = Endpoint::from_shared(format!("https://localhost:{port}")).unwrap();
    let channel = endpoint.tls_config(right).unwrap().connect_lazy();
    assert_eq!(earn(channel).await.unwrap(), "booking");
}

#[tokio::test]
async fn a_token_counts_only_beside_the_certificate_of_its_service() {
    let ours = Authority::new();
    let (at, _stop) = serve(server_tls(ours.sign("localhost")));
    let url = format!("https://localhost:{}", at.grpc.port());
    // A valid token of booking, with the certificate of another service, of none, and of a similar name.
    for other in ["incidents", "localhost", "booking.example.org", "xbooking"] {
        let refused = call(&url, peer_tls(ours.sign(other))).await.expect_err(other);
        let said = (refused.code(), code(&refused));
        assert_eq!(said, (Code::PermissionDenied, "forbidden".to_owned()), "{other}");
    }
    // A common name does not count, and one of several names is enough.
    let mut named = CertificateParams::new(vec!["incidents".to_owned()]).unwrap();
    named.distinguished_name.push(DnType::CommonName, "booking");
    let refused = call(&url, peer_tls(ours.sign_as("named", named))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let nameless = CertificateParams::new(Vec::<String>::new()).unwrap();
    let refused = call(&url, peer_tls(ours.sign_as("nameless", nameless))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let both = vec!["booking.internal".to_owned(), "Booking".to_owned()];
    let both = ours.sign_as("both", CertificateParams::new(both).unwrap());
    assert_eq!(call(&url, peer_tls(both)).await.unwrap(), "booking");
}

#[tokio::test]
async fn a_server_that_cannot_prove_its_name_is_not_talked_to() {
    let (ours, others) = (Authority::new(), Authority::new());
    for files in [ours.sign("incidents"), {
        let [cert, key, _] = others.sign("localhost");
        let [_, _, ca] = ours.sign("unused");
        [cert, key, ca]
    }] {
        let (at, _stop) = serve(server_tls(files));
        let url = format!("https://localhost:{}", at.grpc.port());
        let refused = call(&url, peer_tls(ours.sign("booking"))).await.unwrap_err();
        assert!(
            [Code::Unavailable, Code::DeadlineExceeded, Code::Unknown].contains(&refused.code())
        );
    }
}

#[tokio::test]
async fn a_certificate_is_no_token() {
    let ours = Authority::new();
    let (at, _stop) = serve(server_tls(ours.sign("localhost")));
    let [cert, key, ca] = ours.sign("booking");
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(pem(&ca)))
        .identity(Identity::from_pem(pem(&cert), pem(&key)));
    let endpoint = Endpoint::from_shared(format!("https://localhost:{}", at.grpc.port())).unwrap();
    let mut client = PointsClient::new(endpoint.tls_config(tls).unwrap().connect_lazy());
    let mut request = Request::new(EarnRequest::default());
    request.set_timeout(Duration::from_secs(2));
    assert_eq!(client.earn(request).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn half_a_configuration_is_none_and_is_said_at_the_start() {
    let ours = Authority::new();
    let [cert, key, ca] = ours.sign("localhost");
    let half = Tls { grpc_tls_ca: None, ..server_tls([cert.clone(), key.clone(), ca.clone()]) };
    let error = Listeners::bind(&listen(half)).err().unwrap();
    assert!(error.to_string().contains("go together"), "{error:#}");
    let missing = server_tls([ours.directory.join("none.pem"), key.clone(), ca.clone()]);
    let error = Listeners::bind(&listen(missing)).err().unwrap();
    assert!(error.to_string().starts_with("GRPC_TLS_CERT: cannot read"), "{error:#}");
    // A malformed key is not quoted.
    let garbage = server_tls([cert, ca.clone(), ca]);
    assert!(Listeners::bind(&listen(garbage)).is_err());
    let auth = testkit::auth::config("http://127.0.0.1:1", "booking");
    let error = Peer::new("https://localhost:1", &auth).err().unwrap();
    assert!(error.to_string().contains("needs GRPC_TLS_CERT"), "{error:#}");
}

#[tokio::test]
async fn when_the_certificate_ends_is_a_metric_and_a_file_without_one_is_refused() {
    let ours = Authority::new();
    let [cert, key, ca] = ours.sign("localhost");
    // rcgen's certificates end in the year 4095.
    let _listeners = Listeners::bind(&listen(server_tls([cert, key.clone(), ca.clone()]))).unwrap();
    let (_, text) = observability::metrics::render();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("\ntls_certificate_expiry_timestamp_seconds 67090118400"), "{text}");

    let error = Listeners::bind(&listen(server_tls([key.clone(), key, ca]))).err().unwrap();
    assert_eq!(error.to_string(), "GRPC_TLS_CERT holds no certificate");
}
