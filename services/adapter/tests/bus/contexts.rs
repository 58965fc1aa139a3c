//! What services can know about clients and attach to them, wherever they are connected.

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use wsmesh_adapter::{
    Bus, CallError, ClientContext, ClientOrderError, DataError, Introduction, LinkFault, MAX_DATA_BYTES, MemoryBus,
    Missing, NodeUrl, Options, RequestError,
};

use crate::support::ground::{Ground, suite};
use crate::support::raw::Stranger;
use crate::support::redis::Redis;
use crate::support::*;

suite![
    a_service_learns_how_a_client_came_wherever_it_is_connected,
    connections_on_several_servers_are_listed_newest_first,
    data_is_replaced_on_every_connection_of_a_client_and_on_no_other,
    a_client_that_is_not_connected_has_no_context_and_takes_no_data,
    data_of_4096_bytes_is_taken_and_one_byte_more_is_refused_before_anything_is_changed,
    of_concurrent_replacements_the_same_one_counts_on_every_server,
];

fn raw(value: &Value) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(value).ok()
}

fn introduction(path: &str) -> Introduction {
    Introduction {
        path: path.to_owned(),
        params: [("tag".to_owned(), json!(["a", "é\n"]))].into(),
        headers: [("accept-language".to_owned(), "en".to_owned())].into(),
        address: Some("2001:db8::7".parse().expect("an address")),
        claims: raw(&json!({"sub": "ann", "level": 7})),
        data: raw(&json!("from the hook")),
    }
}

fn data(context: &ClientContext) -> Option<Value> {
    let json = context.data.as_ref()?;
    serde_json::from_str(json.get()).ok()
}

/// The data of each connection of a client, as a server sees it.
async fn data_of(asking: &Server, id: &str) -> Vec<Option<Value>> {
    let contexts = asking.adapter.client(&client(id)).await.expect("known");
    contexts.iter().map(data).collect()
}

async fn three(ground: &Ground) -> [Server; 3] {
    let start = async |name| {
        let options = Options {
            several_homes: true,
            ..ground.options(name, "ws-node")
        };
        Server::ready(options).await
    };
    let servers = [start("one").await, start("two").await, start("three").await];
    acquainted(&servers.each_ref()).await;
    servers
}

async fn a_service_learns_how_a_client_came_wherever_it_is_connected(ground: Ground) {
    let (one, two) = ground.pair().await;
    let ann = two.client_with("ann", introduction("chat")).await;
    let there = one.adapter.client(&client("ann")).await.expect("known");
    let here = two.adapter.client(&client("ann")).await.expect("known");
    assert_eq!(there, here);
    let [context] = &there[..] else {
        panic!("one connection: {there:?}")
    };
    let name = two.adapter.connection_name(ann.attachment.connection());
    assert_eq!((&context.connection, &context.server), (&name, &server("two")));
    assert!(context.since.elapsed().expect("in the past") < Duration::from_secs(60));
    let said = introduction("chat");
    assert_eq!(
        (&context.path, &context.params, &context.headers, context.address),
        (&said.path, &said.params, &said.headers, said.address)
    );
    let claims: Value = serde_json::from_str(context.claims.as_ref().expect("claims").get()).expect("JSON");
    assert_eq!(
        (claims, data(context)),
        (json!({"sub": "ann", "level": 7}), Some(json!("from the hook")))
    );
    let part = one.adapter.cluster_client(&client("ann")).await;
    let (_, part) = part
        .servers
        .iter()
        .find(|(name, _)| *name == server("two"))
        .expect("answered");
    assert_eq!(part.contexts, there);
    ann.attachment
        .context()
        .set_claims(raw(&json!({"sub": "ann", "level": 8})));
    let renewed = one.adapter.client(&client("ann")).await.expect("known");
    assert_eq!(
        renewed[0].claims.as_ref().expect("claims").get(),
        r#"{"level":8,"sub":"ann"}"#
    );
}

async fn connections_on_several_servers_are_listed_newest_first(ground: Ground) {
    let [one, two, three] = three(&ground).await;
    let _first = one.client_with("ann", introduction("1")).await;
    let mut connections = Vec::new();
    for (server, path) in [(&two, "2"), (&one, "3"), (&two, "4")] {
        // Times have milliseconds.
        let last = SystemTime::now();
        until("a later time", || {
            last.elapsed().is_ok_and(|passed| passed > Duration::from_millis(2))
        })
        .await;
        connections.push(server.client_with("ann", introduction(path)).await);
    }
    for asking in [&one, &two, &three] {
        let contexts = asking.adapter.client(&client("ann")).await.expect("known");
        let paths: Vec<_> = contexts.iter().map(|context| context.path.as_str()).collect();
        assert_eq!(paths, ["4", "3", "2", "1"]);
        let mut names: Vec<_> = contexts.iter().map(|context| &context.connection).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 4, "each has a name of its own");
    }
}

async fn data_is_replaced_on_every_connection_of_a_client_and_on_no_other(ground: Ground) {
    let [one, two, three] = three(&ground).await;
    let (first, _second) = (
        one.client_with("ann", introduction("1")).await,
        one.client_with("ann", introduction("2")).await,
    );
    let _third = two.client_with("ann", introduction("3")).await;
    let _bob = two.client_with("bob", introduction("4")).await;
    let team = json!({"team": "red", "n": [1.5, null, "é\r\n"]});
    for setting in [&three, &one] {
        let set = setting.adapter.set_client_data(&client("ann"), Some(&team)).await;
        assert!(set.expect("everywhere"));
        assert_eq!(data_of(&two, "ann").await, vec![Some(team.clone()); 3]);
        assert_eq!(first.attachment.context().data().expect("some").get(), team.to_string());
        assert_eq!(data_of(&one, "bob").await, [Some(json!("from the hook"))]);
        let removed = setting.adapter.set_client_data::<()>(&client("ann"), None).await;
        assert!(removed.expect("everywhere"));
        assert_eq!(data_of(&one, "ann").await, [None, None, None]);
    }
    let null = two.adapter.set_client_data(&client("bob"), Some(&Value::Null)).await;
    assert!(null.expect("set"));
    assert_eq!(data_of(&one, "bob").await, [None], "null is nothing");
}

async fn a_client_that_is_not_connected_has_no_context_and_takes_no_data(ground: Ground) {
    let [one, two, _three] = three(&ground).await;
    let ann = two.client_with("ann", introduction("1")).await;
    let context = ann.attachment.context().clone();
    drop(ann);
    for id in ["ann", "nobody"] {
        assert_eq!(one.adapter.client(&client(id)).await.expect("known"), []);
        let set = one.adapter.set_client_data(&client(id), Some(&7)).await;
        assert!(!set.expect("known"), "{id} is not connected");
    }
    assert_eq!(
        context.data().expect("as it was").get(),
        r#""from the hook""#,
        "the last state of an ended connection can still be read"
    );
}

async fn data_of_4096_bytes_is_taken_and_one_byte_more_is_refused_before_anything_is_changed(ground: Ground) {
    let [one, two, _three] = three(&ground).await;
    let _ann = (
        one.client_with("ann", introduction("1")).await,
        two.client_with("ann", introduction("2")).await,
    );
    let most = "x".repeat(MAX_DATA_BYTES - 2);
    assert!(
        one.adapter
            .set_client_data(&client("ann"), Some(&most))
            .await
            .expect("set")
    );
    let refused = one
        .adapter
        .set_client_data(&client("ann"), Some(&format!("{most}y")))
        .await;
    assert!(
        matches!(refused, Err(ClientOrderError::Data(DataError::TooLarge(4097)))),
        "{refused:?}"
    );
    assert!(!refused.expect_err("too large").to_string().contains("xx"));
    assert_eq!(data_of(&two, "ann").await, vec![Some(json!(most)); 2]);
    // Numbers become longer on the way: the size is that of what arrives.
    let numbers = format!("[{}]", vec!["1e9"; 600].join(","));
    let numbers: Box<RawValue> = serde_json::from_str(&numbers).expect("JSON");
    let refused = one.adapter.set_client_data(&client("ann"), Some(&numbers)).await;
    assert!(
        matches!(refused, Err(ClientOrderError::Data(DataError::TooLarge(_)))),
        "{refused:?}"
    );
    let not_json = std::collections::BTreeMap::from([((1, 2), 3)]);
    let refused = one.adapter.set_client_data(&client("ann"), Some(&not_json)).await;
    assert!(matches!(refused, Err(ClientOrderError::Publish(_))), "{refused:?}");
    assert_eq!(data_of(&two, "ann").await, vec![Some(json!(most)); 2]);
}

async fn of_concurrent_replacements_the_same_one_counts_on_every_server(ground: Ground) {
    let [one, two, three] = three(&ground).await;
    let mut homes = Vec::new();
    for server in [&one, &two, &two] {
        homes.push(server.client_with("ann", introduction("1")).await);
    }
    let service = Server::ready(ground.options("service", "auction")).await;
    acquainted(&[&one, &two, &three, &service]).await;
    let ann = client("ann");
    for round in 0..10 {
        let values: Vec<_> = (0..16)
            .map(|n| json!({"round": round, "n": n, "fill": "x".repeat(1000)}))
            .collect();
        let setting = values.iter().enumerate().map(|(n, value)| {
            let from = if n % 2 == 0 { &three } else { &service };
            from.adapter.set_client_data(&ann, Some(value))
        });
        for set in join_all(setting).await {
            assert!(set.expect("everywhere"));
        }
        let found = data_of(&service, "ann").await;
        assert_eq!(found.len(), homes.len());
        assert!(found.iter().all(|data| *data == found[0]), "round {round}: {found:?}");
        assert!(
            found[0].as_ref().is_some_and(|data| values.contains(data)),
            "whole: {found:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_not_taken_for_one_without_the_client() {
    let bus = MemoryBus::new(["a"]).expect("valid ids");
    let start = async |name: &str| {
        let options = Options {
            several_homes: true,
            request_timeout: Duration::from_secs(1),
            ..options(name, "ws-node", Bus::Memory(bus.seen_from(name)))
        };
        Server::ready(options).await
    };
    let (one, two) = (start("one").await, start("two").await);
    acquainted(&[&one, &two]).await;
    let (_here, _there) = (one.client("ann").await, two.client("ann").await);
    bus.set_link("two", "a", LinkFault::Hang);
    let ann = client("ann");
    // At once: soon, `two` no longer counts as a receiver.
    let (found, set) = tokio::join!(one.adapter.client(&ann), one.adapter.set_client_data(&ann, Some(&1)));
    assert!(
        matches!(&found, Err(ClientOrderError::Unknown(who)) if *who == ann),
        "{found:?}"
    );
    match set {
        Err(ClientOrderError::Partly { done, error }) => {
            assert_eq!(done, [server("one")]);
            assert!(matches!(*error, ClientOrderError::Unknown(_)), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

/// Answers the next message on the client's channel as a server of an older version that has the client.
async fn answer_as_an_older_version(older: &mut Stranger, events: &[&str]) {
    for event in events {
        let (_, asked) = older.next("older").await;
        assert_eq!(asked["data"]["event"], **event);
        let mut answer = json!({
            "data": {"event": "_Cs_Cb_", "senderServer": "older", "targetServer": ["one"],
                "callbackId": asked["data"]["callbackId"], "isCallback": true, "payload": null},
            "wm": {"i": 77, "s": asked["wm"]["s"], "t": asked["wm"]["t"]},
        });
        if *event == "wsmesh.query" {
            answer["data"]["payload"] = json!({"connected": true, "rooms": []});
        } else {
            answer["wm"]["e"] = json!("unhandled");
        }
        older.publish("wsmesh:server:one", answer.to_string().as_bytes()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_an_older_version_that_has_the_client_is_named_in_the_error() {
    let redis = Redis::start(&[]);
    let bus = Bus::Redis(vec![NodeUrl::parse(&redis.url("redis-0")).expect("valid")]);
    let one = Server::ready(options("one", "auction", bus.clone())).await;
    // No more servers are expected to answer than are known.
    let two = Server::ready(options("two", "auction", bus)).await;
    acquainted(&[&one, &two]).await;
    let mut older = Stranger::connect(redis.port, &["wsmesh:client:ann"]).await;
    let ann = client("ann");
    let is_named = |error: &ClientOrderError| matches!(error, ClientOrderError::Call(CallError::Request(RequestError::Missing { server: name, why: Missing::Unhandled })) if *name == server("older"));
    let (found, ()) = tokio::join!(
        one.adapter.client(&ann),
        answer_as_an_older_version(&mut older, &["wsmesh.query"])
    );
    let error = found.expect_err("it does not say how the client came");
    assert!(is_named(&error), "{error}");
    let events = ["wsmesh.clientData", "wsmesh.query"];
    let (set, ()) = tokio::join!(
        one.adapter.set_client_data(&ann, Some(&1)),
        answer_as_an_older_version(&mut older, &events)
    );
    let error = set.expect_err("it did not take the data");
    assert!(is_named(&error), "{error}");
}
