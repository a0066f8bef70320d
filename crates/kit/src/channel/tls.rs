//! Mutual TLS: both sides need a certificate signed by our own CA.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use http::{Extensions, Uri};
use observability::metrics;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::config::{PeerTls, Tls};

/// Returns the settings of the gRPC port; `None` when nothing is set. A client without a certificate of our
/// CA is refused.
pub(crate) fn server(config: &Tls) -> anyhow::Result<Option<ServerTlsConfig>> {
    let files = (&config.grpc_tls_cert, &config.grpc_tls_key, &config.grpc_tls_ca);
    let Some(Files { identity, ca }) = Files::read(files)? else { return Ok(None) };
    if let Some(cert) = files.0 {
        let expiry = expiry(cert).context("GRPC_TLS_CERT holds no certificate")?;
        metrics::gauge(
            "tls_certificate_expiry_timestamp_seconds",
            "Expiry of the gRPC port's certificate, read at the start.",
        )
        .set(expiry);
    }
    Ok(Some(ServerTlsConfig::new().identity(identity).client_ca_root(ca)))
}

/// Returns the settings for calls to an https:// address. The server's certificate must name its host.
pub(super) fn client(url: &Uri, config: &PeerTls) -> anyhow::Result<Option<ClientTlsConfig>> {
    if url.scheme_str() != Some("https") {
        return Ok(None);
    }
    let files = (&config.peer_tls_cert, &config.peer_tls_key, &config.peer_tls_ca);
    let Some(Files { identity, ca }) = Files::read(files)? else {
        bail!("an https:// address needs GRPC_TLS_CERT, GRPC_TLS_KEY and GRPC_TLS_CA");
    };
    Ok(Some(ClientTlsConfig::new().identity(identity).ca_certificate(ca)))
}

/// Returns true when the peer may call itself `service`: its certificate has that DNS name, so that a stolen
/// service token is useless to others. Without TLS there is no certificate, and the token decides alone.
pub(crate) fn may_be(service: &str, extensions: &Extensions) -> bool {
    let Some(connection) = extensions.get::<TlsConnectInfo<TcpConnectInfo>>() else { return true };
    let chain = connection.peer_certs();
    let own = chain.as_ref().and_then(|chain| chain.first());
    own.is_some_and(|certificate| is_named(certificate, service))
}

/// Compares alternative names only (RFC 6125): a common name is free text.
fn is_named(certificate: &[u8], name: &str) -> bool {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else { return false };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    let mut names = names.value.general_names.iter();
    names.any(|held| matches!(held, GeneralName::DNSName(held) if held.eq_ignore_ascii_case(name)))
}

struct Files {
    identity: Identity,
    ca: Certificate,
}

type Paths<'a> = (&'a Option<PathBuf>, &'a Option<PathBuf>, &'a Option<PathBuf>);

impl Files {
    fn read(paths: Paths<'_>) -> anyhow::Result<Option<Self>> {
        match paths {
            (None, None, None) => Ok(None),
            (Some(cert), Some(key), Some(ca)) => Ok(Some(Self {
                identity: Identity::from_pem(
                    read("GRPC_TLS_CERT", cert)?,
                    read("GRPC_TLS_KEY", key)?,
                ),
                ca: Certificate::from_pem(read("GRPC_TLS_CA", ca)?),
            })),
            _ => bail!("GRPC_TLS_CERT, GRPC_TLS_KEY and GRPC_TLS_CA go together"),
        }
    }
}

/// Returns the expiry of the first certificate of a PEM file, in seconds since 1970.
fn expiry(path: &Path) -> anyhow::Result<i64> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(&fs::read(path)?)?;
    Ok(pem.parse_x509()?.validity().not_after.timestamp())
}

fn read(variable: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{variable}: cannot read {}", path.display()))
}
