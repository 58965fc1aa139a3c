//! `[connect]` and `[[watch]]` in the configuration file: what is wrong is listed at the start, and no secret is shown.

use std::process::{Command, Output};

fn run(toml: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let key = "0123456789abcdef0123456789abcdef";
    for (name, text) in [("ws-node.toml", toml), ("key", key), ("token", "cret")] {
        let text = text.replace("FOLDER", folder.path().to_str().expect("UTF-8"));
        std::fs::write(path(name), text).expect("written");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_ws-node"));
    command.args(["--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--config"]);
    command.arg(path("ws-node.toml")).args(more).output().expect("runs")
}

/// What is said about settings that are refused.
fn refused(toml: &str) -> String {
    let output = run(toml, &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(!said.contains("cret"), "{said}");
    said
}

fn says(said: &str, texts: &[&str]) {
    for text in texts {
        assert!(said.contains(text), "{text} is missing: {said}");
    }
}

#[test]
fn everything_that_is_wrong_with_a_hook_and_watches_is_listed_at_once() {
    let said = refused(
        r#"
        [connect]
        url = "http://me:cret@localhost/"
        timeout_ms = 0
        max_in_flight = 0
        headers = ["x y", "cookie"]
        [[watch]]
        events = ["connected"]
        [[watch]]
        url = "http://localhost/"
        service = "crm"
        events = []
        [[watch]]
        url = "http://localhost/"
        events = ["connected"]
        namespaces = ["chat"]
        keep_ms = 0
        "#,
    );
    says(
        &said,
        &[
            "url has a user or a password",
            "timeout_ms is 0",
            "max_in_flight must be",
            "\"x y\"",
            "without --allowed-origins every page could connect",
            "number 1: write either url or service",
            "number 2: write either url or service",
            "number 2: events is empty",
            "number 3: namespaces",
            "number 3: keep_ms is 0",
        ],
    );
    let unreadable = r#"
        [connect]
        url = "cret.example.org"
        mode = "before"
        bearer_token_file = "FOLDER/none"
        [[watch]]
        service = "crm"
        events = ["gone"]
        namespace = "chat"
    "#;
    says(
        &refused(unreadable),
        &[
            "not a URL",
            "`before`",
            "cannot read",
            "`gone`",
            "unknown field `namespace`",
        ],
    );
}

#[test]
fn a_hook_in_place_of_tokens_takes_no_keys_and_one_after_them_needs_some() {
    let instead = r#"
        jwt_key_file = "FOLDER/key"
        ticket_key_file = "FOLDER/key"
        auth_by_message = true
        [connect]
        url = "http://localhost/"
    "#;
    let said = refused(instead);
    says(
        &said,
        &[
            "jwt_key_file in",
            "ticket_key_file in",
            "auth_by_message in",
            "mode = \"after\"",
        ],
    );
    let said = refused("[connect]\nurl = \"http://localhost/\"\nmode = \"after\"\n");
    says(&said, &["needs authentication"]);
    let late = r#"
        jwt_key_file = "FOLDER/key"
        auth_by_message = true
        [connect]
        url = "http://localhost/"
        mode = "after"
        timeout_ms = 5000
    "#;
    says(&refused(late), &["--auth-timeout", "must be longer than timeout_ms"]);
}

#[test]
fn in_production_a_hook_is_enough_and_the_configuration_is_shown_without_secrets() {
    let good = r#"
        allowed_origins = ["https://app.example.org"]
        [connect]
        url = "http://localhost/connect?key=cret"
        headers = ["cookie"]
        bearer_token_file = "FOLDER/token"
        [[watch]]
        url = "http://localhost/events?key=cret"
        events = ["connected"]
        [[watch]]
        service = "crm"
        events = ["left"]
    "#;
    let output = run(good, &["--print-config"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    says(
        &shown,
        &[
            "connect",
            "http://localhost/connect?…",
            "http://localhost/events?…",
            "crm",
        ],
    );
    assert!(!shown.contains("cret"), "{shown}");
}
