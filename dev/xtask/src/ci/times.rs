//! How long each step took: printed when the last has ended, or one has failed, so that nobody has to look for it among what the steps say.

use std::{fmt, time::Instant};

/// The times of a run.
pub(super) struct Times {
    begun: Instant,
    steps: Vec<(&'static str, f64)>,
}

impl Times {
    pub(super) fn begin() -> Self {
        Self {
            begun: Instant::now(),
            steps: Vec::new(),
        }
    }

    /// Notes a step that began then and has ended now, and says how long it took.
    pub(super) fn took(&mut self, step: &'static str, begun: Instant) -> String {
        let seconds = begun.elapsed().as_secs_f64();
        self.steps.push((step, seconds));
        format!("{seconds:.1} s")
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (step, seconds) in &self.steps {
            writeln!(f, "ci: {step:<14}{seconds:>8.1} s")?;
        }
        let all = self.begun.elapsed().as_secs_f64();
        writeln!(f, "ci: {:<14}{all:>8.1} s", "in all")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_a_line_and_so_have_all() {
        let mut times = Times::begin();
        times.took("format", Instant::now());
        times.took("spec-coverage", Instant::now());
        let text = times.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("ci: format    "), "{text}");
        assert!(lines[2].starts_with("ci: in all    "), "{text}");
        assert!(lines.iter().all(|line| line.ends_with(" s")), "{text}");
    }
}
