//! Ranges of IP addresses, as operators write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Addresses with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    base: IpAddr,
    prefix: u8,
}

impl Range {
    pub(crate) const LOOPBACK_V4: Self = Self::v4(127, 0, 0, 0, 8);
    pub(crate) const LOOPBACK_V6: Self = Self {
        base: IpAddr::V6(Ipv6Addr::LOCALHOST),
        prefix: 128,
    };

    pub(crate) const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Self {
        Self {
            base: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            prefix,
        }
    }

    pub(crate) const fn v6(high: [u16; 3], prefix: u8) -> Self {
        let [a, b, c] = high;
        Self {
            base: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)),
            prefix,
        }
    }

    pub(crate) fn contains(self, address: IpAddr) -> bool {
        let (difference, width) = match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                (u128::from(base.to_bits() ^ address.to_bits()), 32)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => (base.to_bits() ^ address.to_bits(), 128),
            _ => return false,
        };
        // A shift by all 128 bits is the prefix of length zero.
        difference
            .checked_shr(width - u32::from(self.prefix))
            .unwrap_or(0)
            == 0
    }
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let error = || RangeError {
            range: text.to_owned(),
        };
        let (base, prefix) = match text.split_once('/') {
            Some((base, prefix)) => (base, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| error())?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) => digits.parse().map_err(|_| error())?,
            None => width,
        };
        if prefix > width {
            return Err(error());
        }
        Ok(Self { base, prefix })
    }
}

/// Text that is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{range:?} is no range of addresses; write one as 10.0.0.0/8, fd00::/8 or a single address"
)]
pub struct RangeError {
    range: String,
}
