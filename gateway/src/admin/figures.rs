//! Numbers and times as a person reads them.

use std::{
    fmt::{self, Display, Formatter, Write},
    time::{Duration, SystemTime},
};

/// `1,234,567`.
pub(super) struct Count(pub(super) u64);

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_char(',')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

/// `3 d 4 h`, `4 h 10 min`, `2 min 5 s`, `7 s`.
pub(super) struct Span(pub(super) Duration);

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // Rounded up: what is left of a backoff is never 0 s.
        let seconds = self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0);
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        match seconds {
            0..60 => write!(f, "{seconds} s"),
            60..3600 => write!(f, "{minutes} min {} s", seconds % 60),
            3600..86_400 => write!(f, "{hours} h {} min", minutes % 60),
            _ => write!(f, "{days} d {} h", hours % 24),
        }
    }
}

/// `0.4 ms`, `35 ms`, `1.2 s`.
pub(super) struct Took(pub(super) Duration);

impl Display for Took {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_secs_f64() * 1e3;
        match milliseconds {
            ..9.95 => write!(f, "{milliseconds:.1} ms"),
            ..999.5 => write!(f, "{milliseconds:.0} ms"),
            _ => write!(f, "{:.1} s", milliseconds / 1e3),
        }
    }
}

/// `12:05:09`, UTC.
pub(super) struct TimeOfDay(pub(super) SystemTime);

impl Display for TimeOfDay {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.unwrap_or_default().as_secs() % 86_400;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(f, "{hours:02}:{minutes:02}:{:02}", seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(Count(count).to_string(), text);
        }
    }

    #[test]
    fn times_are_rounded_for_a_person() {
        let span = |seconds| Span(Duration::from_secs(seconds)).to_string();
        assert_eq!(span(59), "59 s");
        assert_eq!(span(3_600 + 61), "1 h 1 min");
        assert_eq!(span(3 * 86_400 + 7_200), "3 d 2 h");
        assert_eq!(Span(Duration::from_millis(1)).to_string(), "1 s");
        let took = |micros| Took(Duration::from_micros(micros)).to_string();
        assert_eq!(took(40), "0.0 ms");
        assert_eq!(took(9_940), "9.9 ms");
        assert_eq!(took(9_960), "10 ms");
        assert_eq!(took(999_600), "1.0 s");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 + 3_600 + 62);
        assert_eq!(TimeOfDay(time).to_string(), "01:01:02");
    }
}
