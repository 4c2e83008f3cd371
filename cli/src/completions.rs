//! `comity completions`: what a shell needs to complete the other commands.

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use crate::printable::put;

/// What `comity completions` can be told.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  comity completions bash > ~/.local/share/bash-completion/completions/comity
  comity completions zsh > ~/.zfunc/_comity
  comity completions fish > ~/.config/fish/completions/comity.fish")]
pub(crate) struct Options {
    /// The shell
    shell: Shell,
}

/// Prints the shell's script for `program`.
pub(crate) fn main(options: &Options, mut program: Command) -> ExitCode {
    let mut script = Vec::new();
    generate(options.shell, &mut program, "comity", &mut script);
    match put(&String::from_utf8_lossy(&script)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("completions", false),
    }
}
