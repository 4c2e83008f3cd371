//! The pages for people in a real browser, where there is one: it is larger than everything else that the checks need together.

use std::{env, path::Path, process, time::Duration};

use super::{Outcome, command::Command};

/// Names another browser than `chromium`. The test reads it too.
const BROWSER: &str = "COMITY_CHROMIUM";

/// For all pages together, on a slow machine.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs the tests that want Chromium, or says that there is none.
pub(crate) fn check(root: &Path) -> Outcome {
    let browser = env::var_os(BROWSER).unwrap_or_else(|| "chromium".into());
    let version = process::Command::new(&browser).arg("--version").output();
    match version {
        Ok(output) if output.status.success() => {
            print!("{}", String::from_utf8_lossy(&output.stdout));
        }
        // Whoever names a browser wants it used.
        _ if env::var_os(BROWSER).is_some() => {
            return Err(format!("{BROWSER} names {browser:?}, which does not run").into());
        }
        _ => {
            println!("SKIPPED: NO PAGE WAS LOOKED AT: there is no {browser:?} here");
            println!(
                "  Debian: apt-get install chromium; {BROWSER} can name another browser of its kind"
            );
            return Ok(());
        }
    }
    // The workspace's only test of this name, built with the others: alone it would be built again, with other features of its dependencies.
    let test = "test --workspace --test admin";
    Command::cargo(root, &format!("{test} --no-run")).run()?;
    Command::cargo(root, &format!("{test} -- --ignored"))
        .limit(LIMIT)
        .run()
}
