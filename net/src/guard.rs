//! Which addresses may be connected to.
//!
//! Names come from peers (server names, `m.server`, SRV), so a name may point at this host or its network: server-side request forgery.
//! The guard looks at the address that is connected to, after all resolution, so that DNS rebinding gains nothing.

use std::net::{IpAddr, Ipv4Addr};

use crate::range::{Range, RangeError};

/// Refuses addresses that are not global unicast (IANA's special-purpose registries, RFC 6890), except in the ranges it was told to allow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressGuard {
    allowed: Vec<Range>,
}

impl AddressGuard {
    /// Allows a range of addresses, `10.1.0.0/16` or `fd00::/8` or a single address. An IPv4 range also covers IPv6 forms that embed it.
    ///
    /// # Errors
    ///
    /// If the text is no address range.
    pub fn allow(mut self, range: &str) -> Result<Self, RangeError> {
        self.allowed.push(range.parse()?);
        Ok(self)
    }

    /// Allows `127.0.0.0/8` and `::1`.
    pub fn allow_loopback(mut self) -> Self {
        self.allowed
            .extend([Range::LOOPBACK_V4, Range::LOOPBACK_V6]);
        self
    }

    /// Whether this address may be connected to.
    pub fn permits(&self, address: IpAddr) -> bool {
        let embedded = embedded_v4(address).map(IpAddr::V4);
        is_global(address)
            || self.allowed.iter().any(|range| {
                range.contains(address) || embedded.is_some_and(|v4| range.contains(v4))
            })
    }
}

fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => !SPECIAL_V4.iter().any(|range| range.contains(address)),
        IpAddr::V6(v6) => match embedded_v4(address) {
            Some(v4) => is_global(IpAddr::V4(v4)),
            None => {
                // 2000::/3 is all that is assigned as global unicast (RFC 4291 §2.4, IANA).
                v6.segments()[0] & 0xe000 == 0x2000
                    && !SPECIAL_V6.iter().any(|range| range.contains(address))
            }
        },
    }
}

/// The IPv4 address that packets for this IPv6 address may end up at.
fn embedded_v4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let low = || Ipv4Addr::from_bits(v6.to_bits() as u32);
    match v6.segments() {
        // Mapped (RFC 4291 §2.5.5.2) and the well-known NAT64 prefix (RFC 6052 §2.1).
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(low()),
        // 6to4 (RFC 3056 §2).
        [0x2002, high, low, ..] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

const SPECIAL_V4: [Range; 16] = [
    Range::v4(0, 0, 0, 0, 8),
    Range::v4(10, 0, 0, 0, 8),
    Range::v4(100, 64, 0, 0, 10),
    Range::v4(127, 0, 0, 0, 8),
    Range::v4(169, 254, 0, 0, 16),
    Range::v4(172, 16, 0, 0, 12),
    Range::v4(192, 0, 0, 0, 24),
    Range::v4(192, 0, 2, 0, 24),
    // Relays of 6to4, withdrawn (RFC 7526).
    Range::v4(192, 88, 99, 0, 24),
    Range::v4(192, 168, 0, 0, 16),
    Range::v4(198, 18, 0, 0, 15),
    Range::v4(198, 51, 100, 0, 24),
    Range::v4(203, 0, 113, 0, 24),
    // Multicast; then reserved and broadcast.
    Range::v4(224, 0, 0, 0, 4),
    Range::v4(240, 0, 0, 0, 4),
    Range::v4(255, 255, 255, 255, 32),
];

const SPECIAL_V6: [Range; 3] = [
    // IETF protocol assignments: Teredo, benchmarking, ORCHID (RFC 2928).
    Range::v6([0x2001, 0, 0], 23),
    // Documentation (RFC 3849, RFC 9637).
    Range::v6([0x2001, 0xdb8, 0], 32),
    Range::v6([0x3fff, 0, 0], 20),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(guard: &AddressGuard, address: &str) -> bool {
        guard.permits(address.parse().unwrap())
    }

    #[test]
    fn special_addresses_are_refused() {
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001:0:4136:e378::1",
            "2001:db8::1",
            "2001:2::1",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "4000::1",
        ] {
            assert!(!permits(&AddressGuard::default(), address), "{address}");
        }
    }

    #[test]
    fn global_addresses_are_permitted() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00::1",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert!(permits(&AddressGuard::default(), address), "{address}");
        }
    }

    #[test]
    fn allowed_ranges_open_only_themselves() {
        let guard = AddressGuard::default()
            .allow("10.1.0.0/16")
            .unwrap()
            .allow("fd00::/8")
            .unwrap();
        assert!(permits(&guard, "10.1.2.3") && permits(&guard, "::ffff:10.1.2.3"));
        assert!(permits(&guard, "fd00::1") && !permits(&guard, "fc00::1"));
        assert!(!permits(&guard, "10.2.0.1") && !permits(&guard, "127.0.0.1"));
        let loopback = AddressGuard::default().allow_loopback();
        assert!(permits(&loopback, "127.0.0.1") && permits(&loopback, "::1"));
        assert!(permits(
            &AddressGuard::default().allow("0.0.0.0/0").unwrap(),
            "10.0.0.1"
        ));
        assert!(permits(
            &AddressGuard::default().allow("::/0").unwrap(),
            "::1"
        ));
    }

    #[test]
    fn what_is_no_range_is_named() {
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "x/8",
        ] {
            let error = AddressGuard::default().allow(text).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
