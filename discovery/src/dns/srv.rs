//! The order in which a service's targets are tried (RFC 2782).

use std::cmp::Reverse;

/// One SRV record that can be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// Lower case, without the dot at its end.
    pub(crate) target: String,
    pub(crate) port: u16,
    pub(crate) priority: u16,
    pub(crate) weight: u16,
}

/// Orders by priority, and within one by weight and lot. `random` gives a number from 0 to its argument, both included.
pub(crate) fn in_order(
    mut records: Vec<Service>,
    mut random: impl FnMut(u32) -> u32,
) -> Vec<Service> {
    // Weights of 0 come first in the list that is drawn from ("Weight"); here the list is drawn from backwards.
    records.sort_by_key(|record| (Reverse(record.priority), Reverse(record.weight)));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(last) = records.last() {
        let priority = last.priority;
        let first = records.partition_point(|record| record.priority > priority);
        let weights = || {
            records[first..]
                .iter()
                .map(|record| u32::from(record.weight))
        };
        let drawn = random(weights().sum());
        let mut sum = 0;
        let at = weights().rev().position(|weight| {
            sum += weight;
            sum >= drawn
        });
        // The sum of all weights is no less than what was drawn; should `random` be out of range, any will do.
        let at = records.len() - 1 - at.unwrap_or(0);
        ordered.push(records.remove(at));
    }
    ordered
}

/// A random number from 0 to `most`, both included.
pub(crate) fn random(most: u32) -> u32 {
    // Without randomness the first of equals is taken, which is no worse than one target.
    let drawn = getrandom::u32().unwrap_or(0);
    let scaled = (u64::from(drawn) * (u64::from(most) + 1)) >> 32;
    u32::try_from(scaled).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(target: &str, priority: u16, weight: u16) -> Service {
        Service {
            target: target.to_owned(),
            port: 8448,
            priority,
            weight,
        }
    }

    fn names(ordered: &[Service]) -> String {
        ordered.iter().map(|one| one.target.as_str()).collect()
    }

    #[test]
    fn the_lowest_priority_comes_first_whatever_the_weights() {
        let records = vec![
            service("c", 30, 65535),
            service("a", 10, 0),
            service("b", 20, 1),
        ];
        for lot in [0, 1, 65535] {
            let ordered = in_order(records.clone(), |most| lot.min(most));
            assert_eq!(names(&ordered), "abc");
        }
    }

    #[test]
    fn within_a_priority_the_lot_falls_by_running_sums() {
        // RFC 2782: weights of 0 first, then the first whose running sum is no less than the lot.
        let records = vec![service("x", 1, 10), service("z", 1, 0), service("y", 1, 30)];
        let first = |lot| {
            let mut lots = vec![0, 0, lot];
            names(&in_order(records.clone(), |_| lots.pop().unwrap()))
        };
        assert_eq!(&first(0)[..1], "z");
        assert_eq!(&first(1)[..1], "x");
        assert_eq!(&first(10)[..1], "x");
        assert_eq!(&first(11)[..1], "y");
        assert_eq!(&first(40)[..1], "y");
    }

    #[test]
    fn heavier_targets_are_first_as_often_as_they_weigh() {
        let records = vec![service("l", 1, 1), service("h", 1, 9), service("n", 1, 0)];
        let rounds = 4_000;
        let mut heavy = 0;
        for _ in 0..rounds {
            let ordered = in_order(records.clone(), random);
            assert_eq!(ordered.len(), 3);
            heavy += usize::from(ordered[0].target == "h");
        }
        // 9 of 11 lots (0 to 10); a deviation of 5 % is more than seven standard deviations.
        let share = heavy as f64 / f64::from(rounds);
        assert!((share - 9.0 / 11.0).abs() < 0.05, "{share}");
    }

    #[test]
    fn a_thousand_of_the_greatest_weight_are_ordered() {
        let records: Vec<_> = (0..1000).map(|_| service("t", 0, u16::MAX)).collect();
        assert_eq!(in_order(records, random).len(), 1000);
        assert!(in_order(Vec::new(), random).is_empty());
    }
}
