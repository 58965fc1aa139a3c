//! Thousands of hostile names of everything that a caller may choose make no series.

use std::ops::Range;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::ground::{Ground, exchange, get};
use crate::scrape::series;

/// Names of each kind; ten thousand in the test that is run by hand.
const HOSTILE: usize = 2_000;
const HOSTILE_BY_HAND: usize = 10_000;
/// These come before series are counted, so that there is a series of each code, status and method already.
const FIRST: usize = 96;
/// What callers do at once.
const AT_ONCE: usize = 20;
/// Lines that may begin for other reasons meanwhile: a time-out or another first code on a busy machine is a histogram of twenty.
const NEW: usize = 100;
/// Only something that is stuck takes longer, also on a busy machine.
const STUCK: Duration = Duration::from_secs(600);

/// All series of all services.
async fn all_series(ground: &Ground) -> usize {
    let mut all = 0;
    for place in ground.places() {
        all += series(&get(place.ops, "/metrics").await);
    }
    all
}

/// Events that nobody named, in frames that want a reply and in others.
async fn events(ground: &Ground, numbers: Range<usize>) {
    let mut client = ground.client("eve").await;
    for number in numbers {
        let name = format!("evil {number} \u{1f980}\"}}");
        client.send(json!({"event": name, "payload": number})).await;
        if number % 50 == 0 {
            let refused = client.request(&name, json!(number)).await;
            assert_eq!(refused["errorCode"], "UNKNOWN_EVENT");
        }
    }
    client.request("echo", json!(1)).await;
    client.close().await;
}

/// Rooms and namespaces, those that a client may join and those that it may not.
async fn rooms(ground: &Ground, numbers: Range<usize>) {
    let mut client = ground.client("mallory").await;
    for number in numbers {
        let (namespace, room) = match number % 2 {
            0 => ("chat".to_owned(), format!("evil {number}")),
            _ => (format!("evil {number}"), "1".to_owned()),
        };
        let payload = json!({"namespace": namespace, "roomId": room, "data": 1});
        let event = ["joinRoom", "publish", "leaveRoom"][number % 3];
        client
            .send(json!({"event": event, "payload": payload, "callbackId": number.to_string()}))
            .await;
        if number % 32 == 31 {
            client.reply(&number.to_string()).await;
        }
    }
    client.close().await;
}

/// User agents, paths and methods, over sockets of their own that end with the answer.
async fn requests(ground: &Ground, numbers: Range<usize>) {
    let caller = async |first: usize| {
        for number in (numbers.start + first..numbers.end).step_by(AT_ONCE) {
            let (address, what) = match number % 4 {
                0 => (ground.edge.public, format!("GET /evil/{number}?evil-{number}")),
                1 => (ground.edge.public, format!("EVIL{number} /{number}?id=evil-{number}")),
                2 => (ground.admin.public, format!("GET /api/v1/jobs/evil-{number}")),
                _ => (ground.admin.public, format!("EVIL{number} /api/v1/evil/{number}")),
            };
            let head = format!("Host: evil-{number}\r\nUser-Agent: evil/{number}\r\nConnection: close");
            let request = format!("{what} HTTP/1.1\r\n{head}\r\n\r\n");
            let answer = exchange(address, &request).await;
            assert!(answer.starts_with("HTTP/1.1 "), "{request}: {answer}");
        }
    };
    join_all((0..AT_ONCE).map(caller)).await;
}

/// Clients with ids of their own, each for a moment.
async fn clients(ground: &Ground, numbers: Range<usize>) {
    let comer = async |first: usize| {
        for number in (numbers.start + first..numbers.end).step_by(AT_ONCE) {
            ground.client(&format!("evil-{number}")).await.close().await;
        }
    };
    join_all((0..AT_ONCE).map(comer)).await;
}

async fn everything(ground: &Ground, numbers: Range<usize>) {
    let all = async {
        tokio::join!(
            events(ground, numbers.clone()),
            rooms(ground, numbers.clone()),
            requests(ground, numbers.clone()),
            clients(ground, numbers)
        );
    };
    let in_time = tokio::time::timeout(STUCK, all).await;
    assert!(in_time.is_ok(), "callers are answered");
}

async fn make_no_series(hostile: usize) {
    let ground = Ground::start().await;
    everything(&ground, 0..FIRST).await;
    let before = all_series(&ground).await;
    everything(&ground, FIRST..hostile).await;
    let after = all_series(&ground).await;
    let mut text = String::new();
    for place in ground.places() {
        text += &get(place.ops, "/metrics").await;
    }
    ground.end().await;
    assert!(after <= before + NEW, "{before} series became {after}");
    let evil: Vec<_> = text
        .lines()
        .filter(|line| line.to_lowercase().contains("evil"))
        .collect();
    assert_eq!(evil, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_of_everything_make_no_series() {
    make_no_series(HOSTILE).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute: run it when what is counted changes"]
async fn ten_thousand_hostile_names_of_everything_make_no_series() {
    make_no_series(HOSTILE_BY_HAND).await;
}
