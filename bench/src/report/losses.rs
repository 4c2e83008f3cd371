//! What was lost on the way, and what was sent again for it.

use super::{measure::Measured, words::count};
use crate::model::Sample;

/// Over the repetitions of a cell, together. Each is none where nobody counted in one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// Packets lost by a draw.
    pub(super) lost: Option<u64>,
    /// Packets that the link's full queue refused.
    pub(super) refused: Option<u64>,
    /// Packets that the emulator itself was too slow for.
    pub(super) overrun: Option<u64>,
    /// TCP segments that were sent again.
    pub(super) segments: Option<u64>,
    /// Requests that the client sent again.
    pub(super) requests: Option<u64>,
}

impl Losses {
    pub(super) fn of(measured: &Measured<'_>) -> Self {
        let sum = |of: fn(&Sample) -> Option<u64>| {
            let mut samples = measured.samples.iter();
            samples.try_fold(0, |sum: u64, sample| Some(sum.saturating_add(of(sample)?)))
        };
        Self {
            lost: sum(|sample| sample.drops.map(|drops| drops.lost)),
            refused: sum(|sample| sample.drops.map(|drops| drops.refused)),
            overrun: sum(|sample| sample.drops.map(|drops| drops.overrun)),
            segments: sum(|sample| sample.resent?.segments),
            requests: sum(|sample| sample.resent.map(|resent| resent.requests)),
        }
    }

    /// `12 lost, 3 refused; again: 15 segments`. What is nothing is left out; a dash if nobody counted.
    pub(super) fn text(self) -> String {
        if self.all().iter().all(Option::is_none) {
            return "–".to_owned();
        }
        let list = |of: &[(Option<u64>, &str)]| {
            let some = of.iter().filter_map(|(number, what)| {
                let number = number.filter(|number| *number > 0)?;
                let what = match number {
                    1 => what.trim_end_matches('s'),
                    _ => what,
                };
                Some(format!("{} {what}", count(number)))
            });
            some.collect::<Vec<_>>().join(", ")
        };
        let lost = list(&[
            (self.lost, "lost"),
            (self.refused, "refused"),
            (self.overrun, "overrun"),
        ]);
        let mut again = list(&[(self.segments, "segments"), (self.requests, "requests")]);
        if self.segments.is_none() {
            let comma = if again.is_empty() { "" } else { ", " };
            again.push_str(&format!("{comma}segments not counted"));
        }
        match (lost.is_empty(), again.is_empty()) {
            (true, true) => "0".to_owned(),
            (false, true) => lost,
            (true, false) => format!("again: {again}"),
            (false, false) => format!("{lost}; again: {again}"),
        }
    }

    /// Whether anything was lost or sent again.
    pub(super) fn any(self) -> bool {
        self.all().into_iter().any(|number| number > Some(0))
    }

    fn all(self) -> [Option<u64>; 5] {
        [
            self.lost,
            self.refused,
            self.overrun,
            self.segments,
            self.requests,
        ]
    }
}

/// What the words of [`Losses::text`] mean.
pub(super) const MEANING: &str = "Packets of all repetitions of a cell together: lost by a draw, as the network's loss has it; refused by the link's full queue; overrun, which the emulator was too slow for. Again: TCP segments that either side sent once more, by the kernel's count, and requests that the client sent once more on another connection. A dash: nobody counted, in a repetition at least.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nothing_is_left_out_and_what_nobody_counted_is_a_dash() {
        let nobody = Losses::default();
        assert_eq!((&*nobody.text(), nobody.any()), ("–", false));
        let none = Losses {
            lost: Some(0),
            segments: Some(0),
            requests: Some(0),
            ..nobody
        };
        assert_eq!((&*none.text(), none.any()), ("0", false));
        let unseen = Losses {
            segments: None,
            ..none
        };
        assert_eq!(unseen.text(), "again: segments not counted");
        let some = Losses {
            lost: Some(1_200),
            overrun: Some(3),
            segments: Some(7),
            ..none
        };
        assert_eq!(some.text(), "1,200 lost, 3 overrun; again: 7 segments");
        assert!(some.any());
        let again = Losses {
            requests: Some(1),
            ..none
        };
        assert_eq!(again.text(), "again: 1 request");
    }
}
