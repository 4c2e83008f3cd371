//! An axis: from a value to a pixel, and the values that are written on it.

use super::words::{Unit, three};

/// Values are put between two pixels.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    kind: Kind,
    pixels: (i32, i32),
    /// Values that are written, with their text.
    pub(super) ticks: Vec<(f64, String)>,
    /// The unit of what is written, and that it is logarithmic if it is.
    pub(super) label: String,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// From zero.
    Linear {
        to: f64,
    },
    Logarithmic {
        from: f64,
        to: f64,
    },
}

/// Largest value over least from which a scale is logarithmic, if it may be.
const DECADE: f64 = 10.0;

/// Least that a logarithmic scale begins with, by what it ends with. Below is as good as nothing, and the scale stays readable.
const SPAN: f64 = 1e-9;

impl Scale {
    /// From zero: the only scale for bars.
    pub(super) fn linear(
        values: impl Iterator<Item = f64>,
        unit: Unit,
        pixels: (i32, i32),
        most_ticks: usize,
    ) -> Self {
        let largest = largest(values);
        let (by, unit) = unit.scale(largest);
        let step = step(largest, most_ticks);
        let steps = (largest / step).ceil().clamp(1.0, most_ticks as f64 + 1.0);
        let ticks = (0..=steps as u32).map(|index| {
            let value = f64::from(index) * step;
            (value, three(value / by))
        });
        Self {
            kind: Kind::Linear { to: steps * step },
            pixels,
            ticks: ticks.collect(),
            label: unit,
        }
    }

    /// Logarithmic if the values span a decade, else from zero.
    pub(super) fn fitting(
        values: impl Iterator<Item = f64> + Clone,
        unit: Unit,
        pixels: (i32, i32),
        most_ticks: usize,
    ) -> Self {
        let largest = largest(values.clone());
        let positive = values
            .clone()
            .filter(|value| value.is_finite() && *value > 0.0);
        let least = positive.fold(largest, f64::min);
        if largest / least < DECADE {
            return Self::linear(values, unit, pixels, most_ticks);
        }
        let least = least.max(largest * SPAN);
        // From the decade, its double or its fivefold that is not above the least, to the one that is not below the largest.
        let mut round = rounds(least.log10().floor() as i32, largest.log10().ceil() as i32);
        let from = round
            .iter()
            .copied()
            .filter(|value| *value <= least)
            .fold(round[0], f64::max);
        let to = round
            .iter()
            .copied()
            .find(|value| *value >= largest)
            .unwrap_or(largest);
        round.retain(|value| (from..=to).contains(value));
        // Labels that would touch are left out where they are drawn; lines may be closer.
        let most = 2 * most_ticks;
        if round.len() > most {
            // The ends are told in any case: a curve at the foot is to be read.
            round.retain(|value| is_decade(*value) || *value == from);
        }
        let stride = round.len().div_ceil(most).max(1);
        let ticks = round.into_iter().step_by(stride).map(|value| {
            let text = unit.value(value);
            // Each has the unit that suits it: a scale of decades has several.
            (value, text)
        });
        Self {
            kind: Kind::Logarithmic { from, to },
            pixels,
            ticks: ticks.collect(),
            label: "logarithmic".to_owned(),
        }
    }

    /// For shares of a whole as the nines that they have: 1 is 90 %, 2 is 99 %. From 0 to `most`, which is 1 at least.
    pub(super) fn nines(most: f64, pixels: (i32, i32)) -> Self {
        let to = most.clamp(1.0, 9.0);
        let ticks = [
            (0.0, "0"),
            (std::f64::consts::LOG10_2, "50"),
            (1.0, "90"),
            (2.0, "99"),
            (3.0, "99.9"),
            (4.0, "99.99"),
        ];
        let ticks = ticks.into_iter().filter(|(at, _)| *at <= to);
        Self {
            kind: Kind::Linear { to },
            pixels,
            ticks: ticks.map(|(at, text)| (at, text.to_owned())).collect(),
            label: "% of all, logarithmic".to_owned(),
        }
    }

    /// Where the value is, or the end that it is beyond.
    pub(super) fn at(&self, value: f64) -> i32 {
        let share = match self.kind {
            Kind::Linear { to } => value / to,
            Kind::Logarithmic { from, to } => (value.max(from) / from).ln() / (to / from).ln(),
        };
        let share = if share.is_finite() {
            share.clamp(0.0, 1.0)
        } else {
            0.0
        };
        let (from, to) = self.pixels;
        from + (f64::from(to - from) * share).round() as i32
    }
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    let largest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
    if largest > 0.0 { largest } else { 1.0 }
}

/// The least of 1, 2, 2.5 and 5 times a power of ten that goes into the largest no more than so often.
fn step(largest: f64, most: usize) -> f64 {
    let least = largest / most as f64;
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|step| *step >= least * 0.999_999)
        .unwrap_or(10.0 * power)
}

/// 1, 2 and 5 times each power of ten.
fn rounds(from: i32, to: i32) -> Vec<f64> {
    let powers = (from..=to).map(|power| 10_f64.powi(power));
    powers
        .flat_map(|power| [power, 2.0 * power, 5.0 * power])
        .collect()
}

fn is_decade(value: f64) -> bool {
    let power = value.log10();
    (power - power.round()).abs() < 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: &Scale) -> Vec<&str> {
        scale.ticks.iter().map(|(_, text)| &text[..]).collect()
    }

    #[test]
    fn bars_begin_at_zero() {
        let scale = Scale::linear([0.007, 0.0093].into_iter(), Unit::Seconds, (100, 300), 4);
        assert_eq!(texts(&scale), ["0", "2.5", "5", "7.5", "10"]);
        assert_eq!(scale.label, "ms");
        assert_eq!(
            (scale.at(0.0), scale.at(0.005), scale.at(0.01)),
            (100, 200, 300)
        );
    }

    #[test]
    fn decades_are_logarithmic_and_say_so() {
        let scale = Scale::fitting([0.000_12, 0.05].into_iter(), Unit::Seconds, (0, 200), 4);
        assert_eq!(texts(&scale), ["100 µs", "1 ms", "10 ms"]);
        assert_eq!(scale.label, "logarithmic");
        assert!(scale.at(0.000_1) == 0 && scale.at(0.05) == 200);
        let near = Scale::fitting([0.02, 0.05].into_iter(), Unit::Seconds, (0, 200), 4);
        assert_eq!(near.at(0.0), 0);
        assert_eq!(near.label, "ms");
    }

    #[test]
    fn no_value_is_outside() {
        for values in [
            vec![],
            vec![0.0],
            vec![f64::NAN],
            vec![1e-300, 1e300],
            vec![f64::MAX],
        ] {
            let of = values.iter().copied();
            for scale in [
                Scale::linear(of.clone(), Unit::Bytes, (10, 20), 4),
                Scale::fitting(of.clone(), Unit::Bytes, (10, 20), 4),
            ] {
                assert!((1..=8).contains(&scale.ticks.len()), "{values:?} {scale:?}");
                for value in [0.0, 1.0, f64::NAN, f64::INFINITY, -1.0, 1e300] {
                    assert!((10..=20).contains(&scale.at(value)), "{values:?} {value}");
                }
            }
        }
    }
}
