//! Chance, where many clients would otherwise act at the same moment.

/// A factor from `low` to `high`, each as likely. Not for secrets.
pub(crate) fn factor(low: f64, high: f64) -> f64 {
    // Without random numbers the middle does: only the spread is lost.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    low + (high - low) * f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_factor_lies_within_its_bounds_and_is_not_one_number() {
        let factors: Vec<f64> = (0..100).map(|_| super::factor(0.8, 1.4)).collect();
        assert!(factors.iter().all(|factor| (0.8..=1.4).contains(factor)));
        assert!(factors.iter().any(|factor| *factor != factors[0]));
    }
}
