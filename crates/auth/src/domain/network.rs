use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The part of an address that usually belongs to one party: a /24 of IPv4, a /64 of IPv6. A party with more networks
/// still meets the count for the whole account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network([u8; 9]);

impl Network {
    pub fn of(address: IpAddr) -> Self {
        let mut network = [0; 9];
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                network[0] = 4;
                network[1..4].copy_from_slice(&v4.octets()[..3]);
            }
            IpAddr::V6(v6) => {
                network[0] = 6;
                network[1..].copy_from_slice(&v6.octets()[..8]);
            }
        }
        Self(network)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Written as 192.0.2.0/24, the part of an address that logs and the audit keep.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, bytes @ ..] = self.0;
        let [a, b, c, ..] = bytes;
        if kind == 4 {
            return write!(f, "{}/24", Ipv4Addr::new(a, b, c, 0));
        }
        let prefix = u128::from(u64::from_be_bytes(bytes)) << 64;
        write!(f, "{}/64", Ipv6Addr::from_bits(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Network {
        Network::of(address.parse().unwrap())
    }

    #[test]
    fn a_network_is_written_as_a_prefix() {
        assert_eq!(of("192.0.2.77").to_string(), "192.0.2.0/24");
        assert_eq!(of("::ffff:192.0.2.77").to_string(), "192.0.2.0/24");
        assert_eq!(of("2001:db8:0:7::1").to_string(), "2001:db8:0:7::/64");
    }

    #[test]
    fn neighbors_are_one_network() {
        assert_eq!(of("192.0.2.1"), of("192.0.2.254"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.9"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
