//! What is being done, and how long it will take where that is known, on standard error: a bar on a terminal, a few lines elsewhere.

use std::{
    io::{IsTerminal, stderr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// Lines of a stage where there is no terminal.
const LINES: u32 = 10;

/// A stage with an end.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    /// Of what: seconds by the plan, or steps of which each takes what it takes.
    of: Of,
    total: f64,
    done: f64,
    begun: Instant,
    /// When it ends, as far as that can be told.
    end: Arc<Mutex<Option<Instant>>>,
    said: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Time,
    Steps,
}

impl Progress {
    /// Begins a stage that takes `total`, as it is estimated.
    pub(crate) fn lasting(total: Duration) -> Self {
        Self::begin(Of::Time, total.as_secs_f64())
    }

    /// Begins a stage of so many steps. How long they take is not known, and nothing is said of it.
    pub(crate) fn counting(steps: u64) -> Self {
        Self::begin(Of::Steps, steps as f64)
    }

    fn begin(of: Of, total: f64) -> Self {
        let end = Arc::new(Mutex::new(None));
        let bar = stderr().is_terminal().then(|| {
            let end = Arc::clone(&end);
            let left = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                let end = *end.lock().unwrap_or_else(PoisonError::into_inner);
                // Nothing where it was misjudged: that it should have ended is no help.
                if let Some(left) = time_until(end, Instant::now()) {
                    // A bar that cannot be drawn harms nothing.
                    let _ = write!(out, "{} left", minutes(left));
                }
            };
            let style = ProgressStyle::with_template("{wide_msg} {bar:30} {percent:>3} % {left}")
                .expect("the template is valid")
                .with_key("left", left);
            let bar = ProgressBar::new(1000).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self {
            bar,
            of,
            total: total.max(0.001),
            done: 0.0,
            begun: Instant::now(),
            end,
            said: 0,
        }
    }

    /// Says what is done now.
    pub(crate) fn now(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
    }

    /// `step` of the estimate is done, the last part of which was `what`.
    pub(crate) fn done(&mut self, step: Duration, what: &str) {
        self.reached(self.done + step.as_secs_f64(), what);
    }

    /// So many steps are done, the last of which was `what`.
    pub(crate) fn counted(&mut self, done: u64, what: &str) {
        self.reached(done as f64, what);
    }

    fn reached(&mut self, done: f64, what: &str) {
        self.done = done;
        let share = (self.done / self.total).min(1.0);
        let now = Instant::now();
        let end = match self.of {
            Of::Time => time_left(now - self.begun, share).map(|left| now + left),
            Of::Steps => None,
        };
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
        if let Some(bar) = &self.bar {
            bar.set_position((share * 1000.0) as u64);
            return;
        }
        let part = (share * f64::from(LINES)) as u32;
        if part > self.said {
            self.said = part;
            let left = time_until(end, now).map_or_else(String::new, |left| {
                format!(", about {} left", minutes(left))
            });
            eprintln!("{:3.0} %{left}: {what}", share * 100.0);
        }
    }

    /// A line that stays.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// As much again as it took so far, in proportion. None where nothing is done yet, or all.
fn time_left(elapsed: Duration, share: f64) -> Option<Duration> {
    let some = share > 0.0 && share < 1.0;
    let left = some.then(|| elapsed.as_secs_f64() * (1.0 - share) / share)?;
    Duration::try_from_secs_f64(left).ok()
}

/// None if there is no end, or it is over.
fn time_until(end: Option<Instant>, now: Instant) -> Option<Duration> {
    end.and_then(|end| end.checked_duration_since(now))
        .filter(|left| !left.is_zero())
}

/// A time for a person, rounded up: `45 s`, `12 min`.
pub(crate) fn minutes(time: Duration) -> String {
    match time.as_secs_f64().ceil() as u64 {
        seconds @ 0..=120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_time_taken() {
        let left = |seconds, share| time_left(Duration::from_secs(seconds), share);
        assert_eq!(left(30, 0.25), Some(Duration::from_secs(90)));
        for unknown in [left(1, 0.0), left(60, 1.0), left(u64::MAX, 1e-9)] {
            assert_eq!(unknown, None);
        }
        assert_eq!(minutes(Duration::from_secs(90)), "90 s");
        assert_eq!(minutes(Duration::from_millis(119_001)), "120 s");
        assert_eq!(minutes(Duration::from_secs(121)), "3 min");
    }

    #[test]
    fn no_time_is_left_beyond_the_end_and_less_than_a_second_is_not_none() {
        let now = Instant::now();
        let left = |seconds| time_until(Some(now + Duration::from_secs_f64(seconds)), now);
        assert_eq!(left(0.3).map(minutes).as_deref(), Some("1 s"));
        assert_eq!(time_until(Some(now), now + Duration::from_secs(1)), None);
        assert_eq!((left(0.0), time_until(None, now)), (None, None));
    }

    #[test]
    fn steps_tell_no_time() {
        let mut steps = Progress::counting(10);
        steps.counted(5, "five");
        assert_eq!(*steps.end.lock().unwrap(), None);
        let mut lasting = Progress::lasting(Duration::from_secs(10));
        lasting.done(Duration::from_secs(5), "half");
        assert!(lasting.end.lock().unwrap().is_some());
        lasting.done(Duration::from_secs(5), "all");
        assert_eq!(*lasting.end.lock().unwrap(), None);
    }
}
