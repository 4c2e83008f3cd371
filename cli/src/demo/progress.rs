//! What is being done, on standard error: a bar or a spinner on a terminal, a plain line elsewhere.

use std::{
    io::{IsTerminal, stderr},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// The stage that is running.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

/// Where stages are announced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Announce {
    Terminal,
    Lines,
    Nowhere,
}

impl Announce {
    /// Moving on a terminal; otherwise lines, unless the output is for a program.
    pub(crate) fn for_output(json: bool) -> Self {
        match (stderr().is_terminal(), json) {
            (true, _) => Self::Terminal,
            (false, false) => Self::Lines,
            (false, true) => Self::Nowhere,
        }
    }

    /// Begins a stage of `total` steps.
    pub(crate) fn stage(self, what: &str, total: usize) -> Progress {
        self.begin(what, || {
            let style = ProgressStyle::with_template("{msg:32} {wide_bar} {human_pos}/{human_len}");
            ProgressBar::new(total as u64).with_style(style.expect("the template is valid"))
        })
    }

    /// Begins a stage that is one step, of which nobody knows how far it is.
    pub(crate) fn wait(self, what: &str) -> Progress {
        self.begin(what, || {
            let style = ProgressStyle::with_template("{msg:32} {spinner} {elapsed}");
            let bar = ProgressBar::new_spinner().with_style(style.expect("the template is valid"));
            bar.enable_steady_tick(TURN);
            bar
        })
    }

    fn begin(self, what: &str, bar: impl FnOnce() -> ProgressBar) -> Progress {
        let bar = match self {
            Self::Terminal => Some(bar().with_message(what.to_owned())),
            Self::Lines => {
                eprintln!("{what} ...");
                None
            }
            Self::Nowhere => None,
        };
        Progress { bar }
    }
}

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(120);

impl Progress {
    pub(crate) fn advance(&self, steps: usize) {
        if let Some(bar) = &self.bar {
            bar.inc(steps as u64);
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
