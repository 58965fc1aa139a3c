//! Messages larger than a Redis buffers for a subscriber: rejected if the limit is known, and given up after two losses
//! if it is not.

use wsmesh_adapter::{Bus, MemoryBus, Missing, Payload, PublishError, RequestError, RequestOptions, Scope, Target};

use crate::support::ground::redis_bus;
use crate::support::redis::Redis;
use crate::support::*;

const LIMIT: [&str; 5] = ["--client-output-buffer-limit", "pubsub", "200kb", "0", "0"];

fn redis(more: &[&str]) -> Vec<Redis> {
    let arguments: Vec<&str> = LIMIT.iter().chain(more).copied().collect();
    (0..3).map(|_| Redis::start(&arguments)).collect()
}

fn gaps(server: &Server) -> u64 {
    server.adapter.nodes().borrow().iter().map(|node| node.gaps).sum()
}

fn counted(server: &Server, name: &str, label: &str) -> u64 {
    let families = server.registry.gather();
    let metrics = families.iter().filter(|family| family.name() == name);
    let metrics = metrics.flat_map(|family| family.get_metric());
    let labelled = metrics.filter(|metric| metric.get_label().iter().any(|pair| pair.value() == label));
    labelled.map(|metric| metric.get_counter().get_value() as u64).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_no_subscriber_could_receive_is_rejected_and_no_connection_is_lost() {
    let redis = redis(&[]);
    let (one, two) = pair(&redis_bus(&redis)).await;
    let mut bob = two.client("bob").await;
    let large = frame(&"x".repeat(900_000));
    let error = one.adapter.to_everyone(large, Scope::Cluster).await;
    let error = error.expect_err("no subscriber could receive it");
    assert!(
        matches!(
            error,
            PublishError::TooLarge {
                bytes: 900_000..,
                most: 102_400
            }
        ),
        "{error}"
    );
    let answer = "x".repeat(900_000);
    two.adapter.on("tell", move |event| {
        let answer = Payload::new(&answer).expect("text");
        async move {
            event.reply(answer).await.expect_err("it is too large");
        }
    });
    let asking = one.adapter.call(
        Target::Server(server("two")),
        "tell",
        Payload::null(),
        RequestOptions::default(),
    );
    let error = soon("an answer", asking).await.expect_err("no answer can be sent");
    assert!(
        matches!(
            error,
            RequestError::Missing {
                why: Missing::TooLarge,
                ..
            }
        ),
        "{error}"
    );
    let fitting = "y".repeat(90_000);
    one.adapter
        .to_client(&client("bob"), frame(&fitting))
        .await
        .expect("it is small enough");
    assert_eq!(bob.frame().await, fitting);
    assert_eq!((gaps(&one), gaps(&two)), (0, 0), "no connection was lost");
    assert_eq!(counted(&one, "wsmesh_unsent_total", "too-large"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn if_the_limit_cannot_be_read_copies_that_end_connections_are_given_up() {
    let redis = redis(&["--rename-command", "CONFIG", ""]);
    let (one, two) = pair(&redis_bus(&redis)).await;
    let mut bob = two.client("bob").await;
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    let large = frame(&"x".repeat(900_000));
    one.adapter
        .to_room(&room("1"), large, Default::default())
        .await
        .expect("the limit is unknown");
    let given_up = || counted(&one, "wsmesh_replayed_total", "given-up") == 1;
    until("its copies are given up", given_up).await;
    let lost = gaps(&two);
    assert!((2..=3).contains(&lost), "one by the message and one by a copy: {lost}");
    let all_hear = || {
        let servers = one.adapter.servers().into_iter().chain(two.adapter.servers());
        servers.into_iter().all(|server| server.heard.len() == 3)
    };
    until("every node is heard again by both", all_hear).await;
    // Small messages arrive again, and no more connections are lost.
    bob_is_reached(&one, &mut bob).await;
    bob.nothing().await;
    assert_eq!(gaps(&two), lost);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_can_publish_nothing_does_not_retry_its_error_reply_forever() {
    let bus = Bus::Memory(MemoryBus::new(["a"]).expect("valid ids"));
    let one = Server::ready(options("one", "ws-node", bus.clone())).await;
    let mut mute = options("two", "ws-node", bus);
    mute.max_publish_bytes = 10;
    let two = Server::ready(mute).await;
    acquainted(&[&one, &two]).await;
    two.adapter.on("tell", |event| async move {
        event.reply(Payload::null()).await.expect_err("it is too large");
    });
    let target = Target::Server(server("two"));
    let asking = one
        .adapter
        .call(target, "tell", Payload::null(), RequestOptions::default());
    let error = asking.await.expect_err("no answer can be sent");
    let timed_out = matches!(
        error,
        RequestError::Missing {
            why: Missing::TimedOut,
            ..
        }
    );
    assert!(timed_out, "{error}");
}
