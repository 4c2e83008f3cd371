//! Times for a person: RFC 3339 in UTC, and how far they are.

use std::fmt;

/// Milliseconds since 1970 as `2026-11-22 12:05:09 UTC`.
pub(crate) struct Utc(pub(crate) i64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(1000);
        let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC"
        )
    }
}

/// How far a time is from now, both in milliseconds since 1970: `in 3 h 5 min`, `2 d 1 h ago`.
pub(crate) struct FromNow {
    pub(crate) time: i64,
    pub(crate) now: i64,
}

impl fmt::Display for FromNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.abs_diff(self.now) / 1000;
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        let span = match seconds {
            0..60 => format!("{seconds} s"),
            60..3600 => format!("{minutes} min {} s", seconds % 60),
            3600..86_400 => format!("{hours} h {} min", minutes % 60),
            _ => format!("{days} d {} h", hours % 24),
        };
        match self.time < self.now {
            true => write!(f, "{span} ago"),
            false => write!(f, "in {span}"),
        }
    }
}

/// The date of a day counted from 1970-01-01, in the proleptic Gregorian calendar: eras of 400 years, each of 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    // Years begin in March here, so that the leap day is the last.
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// The day of a date, counted from 1970-01-01: [`civil`] the other way round.
pub(crate) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_795_349_109_999, "2026-11-22 12:05:09 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(Utc(ms).to_string(), text);
        }
        for days in (-800_000..800_000).step_by(97) {
            let (year, month, day) = civil(days);
            assert_eq!(days_of(year, month, day), days);
        }
        // What no calendar has does not panic.
        let _ = (Utc(i64::MAX).to_string(), Utc(i64::MIN).to_string());
    }

    #[test]
    fn distances_have_two_units_at_most() {
        let from = |time| FromNow { time, now: 0 }.to_string();
        assert_eq!(from(7_000), "in 7 s");
        assert_eq!(from(-3_900_000), "1 h 5 min ago");
        assert_eq!(from(2 * 86_400_000 + 3_600_000), "in 2 d 1 h");
        let _ = FromNow {
            time: i64::MIN,
            now: i64::MAX,
        }
        .to_string();
    }
}
