//! Rules in the configuration file: what is wrong is listed at the start, and no secret is shown.

use std::process::{Command, Output};

fn run(toml: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ws-node.toml");
    std::fs::write(folder.path().join("key"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").expect("written");
    std::fs::write(folder.path().join("bad-key"), "cret\n").expect("written");
    let toml = toml.replace("FOLDER", folder.path().to_str().expect("UTF-8"));
    std::fs::write(&file, toml).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ws-node"));
    command.args([
        "--profile=demo",
        "--listen=127.0.0.1:0",
        "--ops-listen=127.0.0.1:0",
        "--config",
    ]);
    command.arg(file).args(more).output().expect("runs")
}

#[test]
fn everything_that_is_wrong_with_rules_is_listed_at_once_and_the_start_refused() {
    let wrong = r#"
        [[rules]]
        event = "both"
        service = "s"
        url = "http://localhost/"
        [[rules]]
        event = "neither"
        [[rules]]
        event = "password"
        url = "http://me:cret@localhost/"
        [[rules]]
        event = "badKey"
        url = "http://localhost/"
        signing_key_file = "FOLDER/bad-key"
        [[rules]]
        event = "noCa"
        url = "https://localhost/"
        ca_file = "FOLDER/none"
        [[rules]]
        event = "bounds"
        url = "http://localhost/"
        timeout_ms = 0
        max_in_flight = 0
        breaker_open_ms = 0
    "#;
    let output = run(wrong, &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    for text in [
        "\"both\": it has a service and a url",
        "\"neither\": it has neither",
        "\"password\": url has a user or a password",
        "\"badKey\": signing_key_file",
        "\"noCa\": ca_file",
        "timeout_ms of the rule for \"bounds\"",
        "\"bounds\": max_in_flight",
        "\"bounds\": breaker_open_ms",
    ] {
        assert!(said.contains(text), "{text} is missing: {said}");
    }
    assert!(!said.contains("cret"), "{said}");
    let unreadable = r#"
        [[rules]]
        event = "a"
        url = "cret.example.org"
        bearer_token_file = "FOLDER/none"
        max_reply_kilobytes = 1
    "#;
    let output = run(unreadable, &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    for text in [
        "url: not a URL",
        "bearer_token_file: cannot read",
        "max_reply_kilobytes",
    ] {
        assert!(said.contains(text), "{text} is missing: {said}");
    }
    assert!(!said.contains("cret"), "{said}");
}

#[test]
fn the_printed_configuration_has_the_rules_and_no_secret() {
    let rules = r#"
        [[rules]]
        event = "bid.*"
        url = "https://localhost/bids?key=cret"
        signing_key_file = "FOLDER/key"
        timeout_ms = 3000
    "#;
    let output = run(rules, &["--print-config"]);
    let (shown, said) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}");
    for text in ["bid.*", "https://localhost/bids?…", "/key\"", "3000"] {
        assert!(shown.contains(text), "{text} is missing: {shown}");
    }
    assert!(!shown.contains("cret") && !shown.contains("MfKQ9r8"), "{shown}");
}
