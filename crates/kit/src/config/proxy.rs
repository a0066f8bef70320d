use std::net::IpAddr;
use std::str::FromStr;

use axum::http::HeaderMap;

/// A proxy, or a network of them, whose `X-Forwarded-For` is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// IPv4 as IPv6 writes it.
    network: u128,
    mask: u128,
}

/// The text is neither an address nor a network such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address, or a network such as 10.0.0.0/8")]
pub struct InvalidProxy;

impl Proxy {
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        mapped(address) & self.mask == self.network
    }

    /// Where a request that came to us from `peer` began: the last address that nobody in `trusted`
    /// has. Anybody may have written what stands before it.
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
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| InvalidProxy)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidProxy)?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits: u32 = bits.unwrap_or(all);
        let host = all.checked_sub(bits).ok_or(InvalidProxy)?;
        let mask = u128::MAX.checked_shl(host).unwrap_or(0);
        Ok(Self { network: mapped(address) & mask, mask })
    }
}

fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
    .to_bits()
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
    fn whoever_is_no_proxy_of_ours_says_nothing_about_where_it_comes_from() {
        assert_eq!(client(&[], "192.0.2.1", &["1.2.3.4"]), "192.0.2.1");
        assert_eq!(client(&["10.0.0.0/8"], "192.0.2.1", &["1.2.3.4"]), "192.0.2.1");
    }

    #[test]
    fn of_a_chain_the_last_stranger_counts() {
        let ours = &["10.0.0.0/8", "2001:db8::/32"];
        assert_eq!(client(ours, "10.1.1.1", &["6.6.6.6, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(ours, "10.1.1.1", &["6.6.6.6", "192.0.2.1, 10.2.2.2"]), "192.0.2.1");
        assert_eq!(client(ours, "2001:db8::1", &["2001:db9::1"]), "2001:db9::1");
        assert_eq!(client(ours, "::ffff:10.1.1.1", &["192.0.2.1"]), "192.0.2.1");
        // Nobody ours wrote that, or nothing was written.
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
