//! Tests of what every link promises, on the embedded bus and on a real Redis that the test starts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::timeout;
use wsmesh_test_support::{redis as server, soon};

use super::link::{Arrival, LinkError, LinkErrorKind, Publisher, Subscriber};
use super::*;

#[path = "redis/inquiry_tests.rs"]
mod redis_inquiry;
#[path = "redis/link_tests.rs"]
mod redis_links;
#[path = "redis/publisher_tests.rs"]
mod redis_publisher;
#[path = "redis/tls_tests.rs"]
mod redis_tls;

/// The time limit that the links are given.
const LIMIT: Duration = Duration::from_secs(2);

/// A node to be tested, and what keeps it alive.
struct Ground {
    endpoint: Arc<dyn Endpoint>,
    memory: Option<MemoryBus>,
    redis: Option<server::Redis>,
}

fn memory() -> Ground {
    let bus = MemoryBus::new(["a"]).expect("a valid id");
    Ground {
        endpoint: bus.endpoint(&bus.ids().next().expect("a node")),
        memory: Some(bus),
        redis: None,
    }
}

fn redis() -> Ground {
    redis_with(&[], "")
}

/// A Redis with more arguments. `login` is put before the host in its URL.
fn redis_with(arguments: &[&str], login: &str) -> Ground {
    let redis = server::Redis::start(arguments);
    let url = redis.url("a").replace("redis://", &format!("redis://{login}"));
    Ground {
        endpoint: endpoint_of(&url),
        memory: None,
        redis: Some(redis),
    }
}

fn endpoint_of(url: &str) -> Arc<dyn Endpoint> {
    redis_endpoint(&NodeUrl::parse(url).expect("a valid URL"), "a test", LIMIT)
}

impl Ground {
    async fn publisher(&self) -> Arc<dyn Publisher> {
        soon("a publisher", self.endpoint.publisher()).await.expect("connects")
    }

    async fn listener(&self) -> Listener {
        let subscriber = soon("a subscriber", self.endpoint.subscriber()).await;
        Listener {
            subscriber: subscriber.expect("connects"),
            arrived: VecDeque::new(),
        }
    }

    /// A subscriber with one confirmed channel.
    async fn listening(&self, channel: &Channel) -> Listener {
        let mut listener = self.listener().await;
        listener.subscribe(std::slice::from_ref(channel)).await;
        listener
    }

    fn pause(&self) {
        match (&self.memory, &self.redis) {
            (Some(bus), _) => _ = bus.set_fault("a", Fault::Pause),
            (_, Some(redis)) => redis.pause().expect("it runs"),
            _ => {}
        }
    }

    fn resume(&self) {
        match (&self.memory, &self.redis) {
            (Some(bus), _) => _ = bus.set_fault("a", Fault::None),
            (_, Some(redis)) => redis.resume().expect("it runs"),
            _ => {}
        }
    }

    fn kill(&mut self) {
        match (&self.memory, &mut self.redis) {
            (Some(bus), _) => _ = bus.set_fault("a", Fault::Fail),
            (_, Some(redis)) => redis.kill(),
            _ => {}
        }
    }
}

/// A subscriber, and its arrivals that were not checked yet.
struct Listener {
    subscriber: Box<dyn Subscriber>,
    arrived: VecDeque<Arrival>,
}

impl Listener {
    async fn next(&mut self) -> Arrival {
        while self.arrived.is_empty() {
            let arrivals = soon("an arrival", self.subscriber.next()).await.expect("connected");
            assert!(!arrivals.is_empty(), "next returns something or fails");
            self.arrived.extend(arrivals);
        }
        self.arrived.pop_front().expect("not empty")
    }

    async fn message(&mut self) -> (Bytes, Bytes) {
        match self.next().await {
            Arrival::Message { channel, payload } => (channel, payload),
            Arrival::Confirmed | Arrival::Rejected => panic!("nothing was asked for"),
        }
    }

    async fn number(&mut self) -> u64 {
        let (_, payload) = self.message().await;
        std::str::from_utf8(&payload[..payload.len().min(20)])
            .ok()
            .and_then(|text| text.trim_end_matches('.').parse().ok())
            .expect("a number")
    }

    async fn confirmed(&mut self, count: usize) {
        for _ in 0..count {
            assert_eq!(self.next().await, Arrival::Confirmed);
        }
    }

    async fn subscribe(&mut self, channels: &[Channel]) {
        self.subscriber.subscribe(channels).await.expect("asked");
        self.confirmed(channels.len()).await;
    }
}

fn number(number: u64) -> Bytes {
    number.to_string().into()
}

/// Runs each check as two tests, on both kinds of node.
macro_rules! on_both {
    ($($check:ident)*) => {
        mod on_the_embedded_bus {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $check() {
                super::$check(super::memory()).await;
            })*
        }
        mod on_a_real_redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $check() {
                super::$check(super::redis()).await;
            })*
        }
    };
}

on_both! {
    the_number_of_receivers_is_exact
    messages_keep_the_order_in_which_they_were_published
    twenty_bursts_of_a_thousand_lose_none_for_a_slow_reader
    ten_thousand_channels_in_one_subscribe_are_confirmed_one_by_one
    a_large_message_arrives_complete
    any_text_may_be_a_channel_and_any_bytes_a_payload
    subscribing_to_no_channels_changes_nothing
    dropping_the_wait_for_arrivals_loses_none
    a_hung_node_keeps_its_messages_and_their_order
    a_dead_node_ends_its_connections_at_once_and_rejects_new_ones
    a_subscriber_that_never_reads_is_disconnected_without_effect_on_others
}

async fn the_number_of_receivers_is_exact(ground: Ground) {
    let (publisher, channel) = (ground.publisher().await, Channel::from("c"));
    let publish = || async { publisher.publish(&channel, number(1)).await.expect("published") };
    assert_eq!(publish().await, 0, "no receivers");
    let mut one = ground.listening(&channel).await;
    assert_eq!(publish().await, 1);
    let two = ground.listening(&channel).await;
    assert_eq!(publish().await, 2);
    one.subscriber
        .unsubscribe(std::slice::from_ref(&channel))
        .await
        .expect("asked");
    assert_eq!((one.number().await, one.number().await), (1, 1), "from before");
    one.confirmed(1).await;
    assert_eq!(publish().await, 1);
    drop(two);
    soon("the closed connection is noticed", async {
        while publish().await > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn messages_keep_the_order_in_which_they_were_published(ground: Ground) {
    let (publisher, channel) = (ground.publisher().await, Channel::from("c"));
    let mut listener = ground.listening(&channel).await;
    // All at once, without waiting: the order is that of the first polls.
    let publishing = (0..5000).map(|n| publisher.publish(&channel, number(n)));
    let published = futures_util::future::join_all(publishing).await;
    assert!(published.into_iter().all(|count| matches!(count, Ok(1))));
    for n in 0..5000 {
        assert_eq!(listener.number().await, n);
    }
}

async fn twenty_bursts_of_a_thousand_lose_none_for_a_slow_reader(ground: Ground) {
    let (publisher, channel) = (ground.publisher().await, Channel::from("c"));
    let mut listener = ground.listening(&channel).await;
    // The reader starts after everything is published, so everything waits somewhere.
    for burst in 0..20 {
        let publishing = (0..1000).map(|n| {
            let payload = format!("{:.<200}", burst * 1000 + n);
            publisher.publish(&channel, payload.into())
        });
        for count in futures_util::future::join_all(publishing).await {
            assert_eq!(count.expect("published"), 1);
        }
    }
    for n in 0..20_000 {
        assert_eq!(listener.number().await, n);
    }
}

async fn ten_thousand_channels_in_one_subscribe_are_confirmed_one_by_one(ground: Ground) {
    let channels: Vec<Channel> = (0..10_000).map(|n| Channel::from(format!("channel:{n}"))).collect();
    let mut listener = ground.listener().await;
    listener.subscribe(&channels).await;
    let publisher = ground.publisher().await;
    for n in [0, 5000, 9999] {
        assert_eq!(publisher.publish(&channels[n], number(n as u64)).await.ok(), Some(1));
        assert_eq!(listener.message().await.0, channels[n].as_bytes());
    }
    listener.subscriber.unsubscribe(&channels[1..]).await.expect("asked");
    listener.confirmed(channels.len() - 1).await;
    assert_eq!(publisher.publish(&channels[5000], number(1)).await.ok(), Some(0));
    assert_eq!(publisher.publish(&channels[0], number(1)).await.ok(), Some(1));
}

async fn a_large_message_arrives_complete(ground: Ground) {
    let (publisher, channel) = (ground.publisher().await, Channel::from("c"));
    let mut listener = ground.listening(&channel).await;
    let large: Bytes = (0..1024 * 1024_u32).map(|n| (n % 251) as u8).collect();
    for payload in [number(1), large.clone(), Bytes::new(), large, number(2)] {
        assert_eq!(publisher.publish(&channel, payload.clone()).await.ok(), Some(1));
        assert_eq!(listener.message().await.1, payload);
    }
}

async fn any_text_may_be_a_channel_and_any_bytes_a_payload(ground: Ground) {
    let publisher = ground.publisher().await;
    let names = ["", " ", "a\r\nb", "\0", "$5\r\n*3\r\n", "é世🚀", "%3A:*?[x]", "-ERR"];
    let channels = names.map(Channel::from);
    let mut listener = ground.listener().await;
    listener.subscribe(&channels).await;
    let every_byte: Bytes = (0..=255_u8).collect();
    for channel in &channels {
        assert_eq!(publisher.publish(channel, every_byte.clone()).await.ok(), Some(1));
        let (name, payload) = listener.message().await;
        assert_eq!((&name[..], &payload), (channel.as_bytes(), &every_byte));
    }
}

async fn subscribing_to_no_channels_changes_nothing(ground: Ground) {
    let (publisher, channel) = (ground.publisher().await, Channel::from("c"));
    let mut listener = ground.listening(&channel).await;
    listener.subscriber.subscribe(&[]).await.expect("nothing asked");
    listener.subscriber.unsubscribe(&[]).await.expect("nothing asked");
    assert_eq!(publisher.publish(&channel, number(7)).await.ok(), Some(1));
    assert_eq!(listener.number().await, 7);
}

async fn dropping_the_wait_for_arrivals_loses_none(ground: Ground) {
    let (publisher, channel) = (ground.publisher().await, Channel::from("c"));
    let mut listener = ground.listening(&channel).await;
    let sender = channel.clone();
    let publishing = tokio::spawn(async move {
        for n in 0..2000 {
            let payload = format!("{n:.<700}");
            publisher.publish(&sender, payload.into()).await.expect("published");
        }
    });
    let mut expected = 0;
    while expected < 2000 {
        // Polled a few times at most, then dropped, as in a select.
        tokio::select! {
            biased;
            arrivals = listener.subscriber.next() => listener.arrived.extend(arrivals.expect("connected")),
            () = tokio::task::yield_now() => continue,
        }
        while !listener.arrived.is_empty() {
            assert_eq!(listener.number().await, expected);
            expected += 1;
        }
    }
    publishing.await.expect("published all");
}

async fn a_hung_node_keeps_its_messages_and_their_order(ground: Ground) {
    let (publisher, channel) = (ground.publisher().await, Channel::from("c"));
    let mut listener = ground.listening(&channel).await;
    ground.pause();
    let given_up = timeout(Duration::from_millis(100), publisher.publish(&channel, number(0))).await;
    assert!(given_up.is_err(), "a hung node does not answer");
    let waiting = futures_util::future::join_all((1..100).map(|n| publisher.publish(&channel, number(n))));
    let resume = async {
        let nothing = timeout(Duration::from_millis(300), listener.subscriber.next()).await;
        assert!(nothing.is_err(), "a hung node delivers nothing");
        ground.resume();
    };
    let (published, ()) = soon("they are published", futures_util::future::join(waiting, resume)).await;
    assert!(published.into_iter().all(|count| matches!(count, Ok(1))));
    for n in 0..100 {
        assert_eq!(
            listener.number().await,
            n,
            "including the abandoned one, which comes first"
        );
    }
}

async fn a_dead_node_ends_its_connections_at_once_and_rejects_new_ones(mut ground: Ground) {
    let (publisher, channel) = (ground.publisher().await, Channel::from("c"));
    let mut listener = ground.listening(&channel).await;
    ground.kill();
    let start = Instant::now();
    let error = soon("the end", listener.subscriber.next()).await.expect_err("ended");
    assert_eq!(error.kind, LinkErrorKind::Closed, "{error}");
    let error = soon("the end", publisher.publish(&channel, number(1))).await;
    assert_eq!(error.expect_err("ended").kind, LinkErrorKind::Closed);
    let error = soon("refused", ground.endpoint.subscriber())
        .await
        .err()
        .expect("refused");
    assert_eq!(error.kind, LinkErrorKind::Connect, "{error}");
    let error = soon("refused", ground.endpoint.publisher())
        .await
        .err()
        .expect("refused");
    assert_eq!(error.kind, LinkErrorKind::Connect, "{error}");
    assert!(start.elapsed() < LIMIT, "not by a time limit: {:?}", start.elapsed());
}

async fn a_subscriber_that_never_reads_is_disconnected_without_effect_on_others(ground: Ground) {
    let (publisher, channel) = (ground.publisher().await, Channel::from("c"));
    let mut lazy = ground.listening(&channel).await;
    let mut eager = ground.listening(&channel).await;
    let large = Bytes::from(vec![b'x'; 1024 * 1024]);
    soon("the lazy subscriber is disconnected", async {
        let mut count = 2;
        for n in 0..100 {
            count = publisher.publish(&channel, large.clone()).await.expect("published");
            assert_eq!(eager.message().await.1.len(), large.len(), "message {n}");
        }
        assert_eq!(count, 1);
    })
    .await;
    let error = soon("the end", async {
        loop {
            if let Err(error) = lazy.subscriber.next().await {
                break error;
            }
        }
    })
    .await;
    assert_eq!(error.kind, LinkErrorKind::Closed, "{error}");
}
