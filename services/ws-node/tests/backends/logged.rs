//! What a ws-node logs about backends: that there is trouble, now and then, and never what was sent or answered.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::Client;
use crate::server::{Act, Backend, answer};

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_a_url_is_logged_once_a_minute_without_what_was_sent_or_answered() {
    let backend = Backend::start(|_| Act::Send(answer(200, "<secret-answer>"))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (config, token) = (folder.path().join("ws-node.toml"), folder.path().join("token"));
    std::fs::write(&token, "secret-token").expect("written");
    let url = format!("http://{}/?key=secret-key", backend.address);
    let rule = |event: &str| format!("[[rules]]\nevent = {event:?}\nurl = {url:?}\nbearer_token_file = {token:?}\n");
    std::fs::write(&config, rule("one") + &rule("two")).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ws-node"));
    command.args([
        "--profile=demo",
        "--name=edge",
        "--listen=127.0.0.1:0",
        "--ops-listen=127.0.0.1:0",
    ]);
    command
        .args(["--log-format=json", "--log-level=debug", "--config"])
        .arg(config);
    let mut node = command.stderr(Stdio::piped()).spawn().expect("starts");
    let mut log = BufReader::new(node.stderr.take().expect("piped"));
    let mut said = String::new();
    let listen = loop {
        let start = said.len();
        assert_ne!(log.read_line(&mut said).expect("a line"), 0, "it ended: {said}");
        let line: Value = serde_json::from_str(&said[start..]).unwrap_or_default();
        if let Some(listen) = line["listen"].as_str() {
            break listen.to_owned();
        }
    };
    // It must never wait for a reader of its log.
    let reading = std::thread::spawn(move || log.read_to_string(&mut said).map(|_| said));
    let mut ann = Client::connect(&format!("ws://{listen}/?id=ann"))
        .await
        .expect("upgrades");
    for event in ["one", "two"].repeat(10) {
        let reply = ann.request(event, json!("secret-payload")).await;
        assert_eq!(reply["errorCode"], "INTERNAL");
    }
    let pid = node.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill")
            .success()
    );
    assert!(node.wait().expect("ends").success());
    let said = reading.join().expect("no panic").expect("text");
    assert_eq!(
        said.matches("the answer of a backend cannot be used").count(),
        1,
        "{said}"
    );
    assert!(said.contains(&format!("http://{}/?…", backend.address)), "{said}");
    assert!(!said.contains("secret"), "{said}");
}
