use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use axum::http::HeaderMap;
use ipnet::{IpNet, Ipv6Net};

/// A trusted proxy, or a network of them. IPv4 is kept as IPv6 writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxy(Ipv6Net);

/// The text is neither an address nor a network such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address, or a network such as 10.0.0.0/8")]
pub struct InvalidProxy;

impl Proxy {
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&mapped(address))
    }

    /// Returns the origin of a request from `peer`: the last address in `X-Forwarded-For` that is not in `trusted`.
    /// Addresses before it may be forged.
    pub(crate) fn client(trusted: &[Self], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let is_trusted = |address| trusted.iter().any(|proxy| proxy.contains(address));
        let mut client = peer;
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        let hops = lines.iter().rev().flat_map(|line| {
            let text = line.to_str().unwrap_or_default();
            text.rsplit(',').map(|hop| hop.trim().parse::<IpAddr>().ok())
        });
        for hop in hops {
            match hop {
                Some(hop) if is_trusted(client) => client = hop,
                _ => break,
            }
        }
        client
    }
}

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse::<IpNet>().or_else(|_| address()).map_err(|_| InvalidProxy)?;
        let bits = if let IpNet::V4(_) = network { 96 } else { 0 };
        Ipv6Net::new(mapped(network.addr()), bits + network.prefix_len())
            .map(Self)
            .map_err(|_| InvalidProxy)
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<Proxy> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        Proxy::client(&trusted, peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_peer_that_is_not_a_trusted_proxy_is_the_client() {
        assert_eq!(client(&[], "192.0.2.1", &["1.2.3.4"]), "192.0.2.1");
        assert_eq!(client(&["10.0.0.0/8"], "192.0.2.1", &["1.2.3.4"]), "192.0.2.1");
    }

    #[test]
    fn the_last_address_that_is_not_trusted_is_the_client() {
        let ours = &["10.0.0.0/8", "2001:db8::/32"];
        assert_eq!(client(ours, "10.1.1.1", &["6.6.6.6, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(ours, "10.1.1.1", &["6.6.6.6", "192.0.2.1, 10.2.2.2"]), "192.0.2.1");
        assert_eq!(client(ours, "2001:db8::1", &["2001:db9::1"]), "2001:db9::1");
        assert_eq!(client(ours, "::ffff:10.1.1.1", &["192.0.2.1"]), "192.0.2.1");
        // Not written by a trusted proxy, or nothing was written.
        assert_eq!(client(ours, "10.1.1.1", &["192.0.2.1, unknown"]), "10.1.1.1");
        assert_eq!(client(ours, "10.1.1.1", &[]), "10.1.1.1");
        assert_eq!(client(ours, "10.1.1.1", &["10.3.3.3"]), "10.3.3.3");
    }

    #[test]
    fn a_network_has_as_many_bits_as_its_addresses() {
        assert_eq!(client(&["0.0.0.0/0"], "192.0.2.1", &["1.2.3.4"]), "1.2.3.4");
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "all"] {
            assert_eq!(wrong.parse::<Proxy>(), Err(InvalidProxy), "{wrong}");
        }
    }
}
