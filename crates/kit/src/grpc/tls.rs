//! Mutual TLS: both sides show a certificate that our own CA signed, and take no other.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use http::Uri;
use observability::metrics;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

use crate::config::{PeerTls, Tls};

/// For the gRPC port; `None` when nothing is set. A client without a certificate of our CA is not served.
pub(crate) fn server(config: &Tls) -> anyhow::Result<Option<ServerTlsConfig>> {
    let files = (&config.grpc_tls_cert, &config.grpc_tls_key, &config.grpc_tls_ca);
    let Some(Files { identity, ca }) = Files::read(files)? else { return Ok(None) };
    if let Some(cert) = files.0 {
        let expiry = expiry(cert).context("GRPC_TLS_CERT holds no certificate")?;
        metrics::gauge(
            "tls_certificate_expiry_timestamp_seconds",
            "When the certificate of the gRPC port ends; it is read at the start.",
        )
        .set(expiry);
    }
    Ok(Some(ServerTlsConfig::new().identity(identity).client_ca_root(ca)))
}

/// For calls to this address, when it asks for TLS. The server's certificate must name its host.
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

/// When the first certificate of a PEM file ends, in seconds since 1970.
fn expiry(path: &Path) -> anyhow::Result<i64> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(&fs::read(path)?)?;
    Ok(pem.parse_x509()?.validity().not_after.timestamp())
}

fn read(variable: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{variable}: cannot read {}", path.display()))
}
