//! Where the contract suite runs: on the embedded bus, or on real Redis processes that the test starts.

use serde_json::Value;
use wsmesh_adapter::{Bus, MemoryBus, NodeUrl, Options, Payload};

use super::redis::Redis;
use super::{Server, options};

/// A bus for the suite, and what keeps it alive.
pub(crate) struct Ground {
    pub(crate) bus: Bus,
    redis: Vec<Redis>,
}

impl Ground {
    pub(crate) fn memory() -> Self {
        Self {
            bus: Bus::Memory(MemoryBus::new(["a", "b", "c"]).expect("valid ids")),
            redis: Vec::new(),
        }
    }

    pub(crate) fn redis() -> Self {
        let redis: Vec<Redis> = (0..3).map(|_| Redis::start(&[])).collect();
        Self {
            bus: redis_bus(&redis),
            redis,
        }
    }

    /// Starts one more node than the servers are configured with; its URL, to be added at run time.
    pub(crate) fn one_more(&mut self, id: &str) -> String {
        match &self.bus {
            Bus::Redis(_) => {
                let redis = Redis::start(&[]);
                let url = redis.url(id);
                self.redis.push(redis);
                url
            }
            Bus::Alone | Bus::Memory(_) => format!("memory:{id}"),
        }
    }

    pub(crate) fn options(&self, name: &str, service: &str) -> Options {
        options(name, service, self.bus.clone())
    }

    pub(crate) async fn pair(&self) -> (Server, Server) {
        super::pair(&self.bus).await
    }
}

/// The bus of these Redis processes, with the ids `redis-0`, `redis-1` and so on.
pub(crate) fn redis_bus(redis: &[Redis]) -> Bus {
    let url = |(index, redis): (usize, &Redis)| NodeUrl::parse(&redis.url(&format!("redis-{index}"))).expect("valid");
    Bus::Redis(redis.iter().enumerate().map(url).collect())
}

pub(crate) fn text(text: &str) -> Payload {
    Payload::new(text).expect("text is JSON")
}

pub(crate) fn value(payload: &Payload) -> Value {
    payload.parse().expect("JSON")
}

/// Runs each test on both buses.
macro_rules! suite {
    ($($test:ident),* $(,)?) => {
        mod on_the_embedded_bus {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::support::ground::Ground::memory()).await;
            })*
        }
        mod on_real_redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::support::ground::Ground::redis()).await;
            })*
        }
    };
}

pub(crate) use suite;
