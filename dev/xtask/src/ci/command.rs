//! Running one command: printed first, its output passed through, its failure worded.

use std::{
    env,
    path::Path,
    process,
    thread::sleep,
    time::{Duration, Instant},
};

use super::Outcome;

/// A command in the workspace's root.
pub(crate) struct Command {
    text: String,
    process: process::Command,
    limit: Option<Duration>,
    /// An exit code that is no failure either.
    accepted: Option<i32>,
}

impl Command {
    /// The cargo that runs this program, with arguments that are separated by spaces.
    pub(crate) fn cargo(root: &Path, arguments: &str) -> Self {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut process = process::Command::new(cargo);
        process.args(arguments.split_whitespace());
        Self::new(root, format!("cargo {arguments}"), process)
    }

    /// One line as a reader of the README would type it.
    pub(crate) fn shell(root: &Path, line: &str) -> Self {
        let mut process = process::Command::new("sh");
        process.args(["-euc", line]);
        Self::new(root, line.to_owned(), process)
    }

    fn new(root: &Path, text: String, mut process: process::Command) -> Self {
        process.current_dir(root);
        Self {
            text,
            process,
            limit: None,
            accepted: None,
        }
    }

    /// With one more argument, whatever is in it.
    pub(crate) fn argument(mut self, argument: &Path) -> Self {
        self.process.arg(argument);
        self.text = format!("{} {}", self.text, argument.display());
        self
    }

    /// With an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.process.env(name, value);
        self.text = format!("{name}=\"{value}\" {}", self.text);
        self
    }

    /// Ended, and failed, after this long.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// This exit code is as good as 0: what it tells is judged elsewhere.
    pub(crate) fn accept(mut self, code: i32) -> Self {
        self.accepted = Some(code);
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Outcome {
        println!("$ {}", self.text);
        let mut child = self
            .process
            .spawn()
            .map_err(|error| format!("`{}` cannot be started: {error}", self.text))?;
        let start = Instant::now();
        let status = loop {
            let Some(limit) = self.limit else {
                break child.wait()?;
            };
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if start.elapsed() > limit {
                child.kill()?;
                child.wait()?;
                return Err(format!("`{}` had not ended after {limit:?}", self.text).into());
            }
            sleep(Duration::from_millis(20));
        };
        if status.success() || (status.code().is_some() && status.code() == self.accepted) {
            Ok(())
        } else {
            Err(format!("`{}` ended with {status}", self.text).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Command {
        Command::shell(Path::new("."), line)
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        assert!(shell("true").run().is_ok());
        let error = shell("exit 3").run().unwrap_err().to_string();
        assert!(error.contains("`exit 3`"), "{error}");
        assert!(shell("exit 3").accept(3).run().is_ok());
        assert!(shell("exit 3").accept(4).run().is_err());
        assert!(shell("kill -9 $$").accept(3).run().is_err());
    }

    #[test]
    fn a_command_over_its_limit_is_ended() {
        let start = Instant::now();
        let slow = shell("exec sleep 30").limit(Duration::from_millis(50));
        let error = slow.run().unwrap_err().to_string();
        assert!(error.contains("had not ended"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
