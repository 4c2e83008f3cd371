//! `comity completions`, `--help` and `--list`.

use crate::setting::run;

#[tokio::test]
async fn every_shell_gets_a_script_that_knows_the_commands_and_the_operations() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&["completions", shell]).await.expect(0);
        for word in ["resolve", "connect-to"] {
            assert!(ran.stdout.contains(word), "{shell} lacks {word}");
        }
    }
    let bash = run(&["completions", "bash"]).await.expect(0);
    assert!(bash.stdout.contains("SendTransaction"), "{}", bash.stdout);
    run(&["completions", "tcsh"]).await.expect(2);
}

#[tokio::test]
async fn help_has_examples_and_exit_codes() {
    for command in ["resolve", "keys", "call"] {
        let ran = run(&[command, "--help"]).await.expect(0);
        for part in [
            "Examples:",
            "Exit codes:",
            "--json",
            "Network:",
            "--danger-accept-any-certificate-for",
        ] {
            assert!(ran.stdout.contains(part), "{command} lacks {part}");
        }
        assert!(!ran.stdout.contains("well-known-port"), "that is for tests");
    }
}

#[tokio::test]
async fn the_operations_are_listed() {
    let ran = run(&["call", "--list"]).await.expect(0);
    assert!(
        ran.stdout
            .contains("GET  /_matrix/federation/v1/event/{eventId}"),
        "{}",
        ran.stdout
    );
    let ran = run(&["call", "--list", "getstate", "--json"])
        .await
        .expect(0);
    let one = &ran.json()[0];
    assert_eq!(one["name"], "GetState");
    assert_eq!(one["signed"], true);
    let ran = run(&["call", "--list", "nothing"]).await.expect(2);
    assert!(
        ran.stderr.contains("there is no operation"),
        "{}",
        ran.stderr
    );
}
