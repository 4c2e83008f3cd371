//! What is being done, on standard error: a bar on a terminal, a plain line elsewhere.

use std::io::{IsTerminal, stderr};

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
    /// A bar on a terminal; otherwise lines, unless the output is for a program.
    pub(crate) fn for_output(json: bool) -> Self {
        match (stderr().is_terminal(), json) {
            (true, _) => Self::Terminal,
            (false, false) => Self::Lines,
            (false, true) => Self::Nowhere,
        }
    }

    /// Begins a stage of `total` steps.
    pub(crate) fn stage(self, what: &str, total: usize) -> Progress {
        let bar = match self {
            Self::Terminal => {
                let bar = ProgressBar::new(total as u64);
                let style =
                    ProgressStyle::with_template("{msg:32} {wide_bar} {human_pos}/{human_len}")
                        .expect("the template is valid");
                bar.set_style(style);
                bar.set_message(what.to_owned());
                Some(bar)
            }
            Self::Lines => {
                eprintln!("{what} ...");
                None
            }
            Self::Nowhere => None,
        };
        Progress { bar }
    }
}

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
