//! What is being done, on standard error: a bar on a terminal, a few lines elsewhere.

use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Lines of a stage where there is no terminal.
const LINES: u32 = 10;

/// A stage with an end, in time.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    /// How long everything takes by the plan, and what has been done of that.
    total: Duration,
    done: Duration,
    begun: Instant,
    said: u32,
}

impl Progress {
    /// Begins a stage of `total`, as it is estimated.
    pub(crate) fn begin(total: Duration) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{wide_msg} {bar:30} {percent:>3} % {prefix}")
                .expect("the template is valid");
            let bar = ProgressBar::new(1000).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self {
            bar,
            total: total.max(Duration::from_millis(1)),
            done: Duration::ZERO,
            begun: Instant::now(),
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
        self.done += step;
        let share = (self.done.as_secs_f64() / self.total.as_secs_f64()).min(1.0);
        let left = time_left(self.begun.elapsed(), share);
        if let Some(bar) = &self.bar {
            bar.set_position((share * 1000.0) as u64);
            bar.set_prefix(format!("{} left", minutes(left)));
            return;
        }
        let part = (share * f64::from(LINES)) as u32;
        if part > self.said {
            self.said = part;
            eprintln!(
                "{:3.0} %, about {} left: {what}",
                share * 100.0,
                minutes(left)
            );
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

/// As much again as it took so far, in proportion.
fn time_left(elapsed: Duration, share: f64) -> Duration {
    match share > 0.0 {
        true => elapsed.mul_f64((1.0 - share) / share),
        false => Duration::ZERO,
    }
}

/// A time for a person: `45 s`, `12 min`.
pub(crate) fn minutes(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_time_taken() {
        let left = time_left(Duration::from_secs(30), 0.25);
        assert_eq!(left.as_secs(), 90);
        assert_eq!(time_left(Duration::from_secs(1), 0.0), Duration::ZERO);
        assert_eq!(minutes(Duration::from_secs(90)), "90 s");
        assert_eq!(minutes(Duration::from_secs(121)), "3 min");
    }
}
