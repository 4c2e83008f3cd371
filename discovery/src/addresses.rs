//! The addresses of a name, in the order in which they are tried.

use std::net::IpAddr;

use crate::dns::{Absence, Answer, Known};

/// Most addresses of one name, and of either family; the connector tries no more of a whole route.
pub(crate) const MAX_ADDRESSES: usize = 16;

/// What is known of a name's addresses.
#[derive(Debug)]
pub(crate) enum Addresses {
    Some(Vec<IpAddr>),
    None(Absence),
    /// No server told.
    Unknown(String),
}

/// Both families by turns, IPv6 first (RFC 8305 §4). What is known of one is enough.
pub(crate) fn addresses_of(v6: &Known, v4: &Known) -> Addresses {
    let (v6, v4) = match (&v6.answer, &v4.answer) {
        (Answer::Addresses(v6), Answer::Addresses(v4)) => (&**v6, &**v4),
        (Answer::Addresses(v6), _) => (&**v6, &[][..]),
        (_, Answer::Addresses(v4)) => (&[][..], &**v4),
        (Answer::Failed(why), _) | (_, Answer::Failed(why)) => {
            return Addresses::Unknown(why.clone());
        }
        (Answer::Absent(absence), _) | (_, Answer::Absent(absence)) => {
            return Addresses::None(*absence);
        }
        // A question about addresses is not answered with services.
        _ => return Addresses::None(Absence::NoRecord),
    };
    Addresses::Some(by_turns(v6, v4))
}

fn by_turns(first: &[IpAddr], second: &[IpAddr]) -> Vec<IpAddr> {
    let mut addresses = Vec::with_capacity(MAX_ADDRESSES.min(first.len() + second.len()));
    for at in 0..first.len().max(second.len()) {
        for address in [first.get(at), second.get(at)].into_iter().flatten() {
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(address) {
                addresses.push(*address);
            }
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_there_are_not_too_many() {
        let v6: Vec<IpAddr> = (1..4)
            .map(|n| IpAddr::from([0x2a00, 0, 0, 0, 0, 0, 0, n]))
            .collect();
        let v4: Vec<IpAddr> = (1..3).map(|n| IpAddr::from([192, 0, 2, n])).collect();
        let text = |addresses: Vec<IpAddr>| {
            let all: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            all.join(" ")
        };
        assert_eq!(
            text(by_turns(&v6, &v4)),
            "2a00::1 192.0.2.1 2a00::2 192.0.2.2 2a00::3"
        );
        let many: Vec<IpAddr> = (0..200).map(|n| IpAddr::from([192, 0, 2, n])).collect();
        assert_eq!(by_turns(&v6, &many).len(), MAX_ADDRESSES);
        assert_eq!(by_turns(&[], &[v4[0], v4[0]]), [v4[0]]);
    }
}
