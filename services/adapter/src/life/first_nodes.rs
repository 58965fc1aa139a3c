//! Finds nodes while this server hears none: at its start, and again if all nodes that it knows are silent, because they may
//! have been replaced by others meanwhile. It looks on for a while after that: servers that found different nodes, because others
//! were not ready yet, would never meet. Nodes that are found are used unless other servers know better.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::topology::TopologyInUse;
use crate::nodes::NodeUrl;
use crate::options::{FirstNodes, FoundNodes};

/// Time between two looks, with jitter: all servers of a cluster may be without nodes at once.
const EVERY: Duration = Duration::from_secs(2);
/// It is so much longer once a node is heard, and it looks on for a while.
const LONGER: Duration = Duration::from_secs(3);
const LOOK_ON: Duration = Duration::from_secs(60);
/// Longest wait for one look. It should end earlier by itself.
const LONGEST: Duration = Duration::from_secs(15);
/// Time between two log lines about the same lasting state.
const REMIND: Duration = Duration::from_secs(30);

fn with_jitter(longest: Duration) -> Duration {
    longest.mul_f64(rand::random_range(0.5..1.0))
}

/// The nodes that this server knows.
pub(crate) trait KnownNodes: Send + Sync {
    /// Takes nodes that may be unknown here.
    fn suggest(&self, nodes: &[NodeUrl]);

    /// Whether one is known that may be used.
    fn has_active(&self) -> bool;
}

impl KnownNodes for Arc<TopologyInUse> {
    fn suggest(&self, nodes: &[NodeUrl]) {
        TopologyInUse::suggest(self, nodes);
    }

    fn has_active(&self) -> bool {
        TopologyInUse::has_active(self)
    }
}

/// Looks for nodes.
pub(crate) struct Finding<K> {
    first_nodes: Arc<dyn FirstNodes>,
    known: K,
    deaf: watch::Receiver<bool>,
    /// When it was last logged that there are none.
    told: Option<Instant>,
}

impl<K: KnownNodes> Finding<K> {
    pub(crate) fn new(first_nodes: Arc<dyn FirstNodes>, known: K, deaf: watch::Receiver<bool>) -> Self {
        Self {
            first_nodes,
            known,
            deaf,
            told: None,
        }
    }

    /// Looks whenever no node is heard, and for a while after. Never ends by itself while the adapter runs.
    pub(crate) async fn run(mut self) {
        // Fails only when the adapter ends.
        while self.deaf.wait_for(|deaf| *deaf).await.is_ok() {
            let mut deaf_last = Instant::now();
            while deaf_last.elapsed() < LOOK_ON {
                let found = timeout(LONGEST, self.first_nodes.find()).await;
                self.take(found.unwrap_or_else(|_| Err(format!("no answer within {} s", LONGEST.as_secs()))));
                if *self.deaf.borrow() {
                    deaf_last = Instant::now();
                }
                sleep(with_jitter(EVERY)).await;
                if !*self.deaf.borrow() {
                    let _hears_none = timeout(with_jitter(LONGER), self.deaf.wait_for(|deaf| *deaf)).await;
                }
            }
        }
    }

    fn take(&mut self, found: FoundNodes) {
        let why = match found {
            Ok(nodes) if !nodes.is_empty() => {
                self.known.suggest(&nodes);
                return;
            }
            Ok(_) => "there is none".to_owned(),
            Err(why) => why,
        };
        let service = self.first_nodes.login();
        let knows_others = self.known.has_active();
        let is_due = self.told.is_none_or(|told| told.elapsed() >= REMIND);
        if !is_due || !*self.deaf.borrow() {
            tracing::debug!(%service, why, "no Redis node is found");
            return;
        }
        self.told = Some(Instant::now());
        match knows_others {
            true => {
                tracing::warn!(%service, why, "no Redis node is heard, and no other one is found; looking again: check the Redis pods and their Service")
            }
            false => {
                tracing::warn!(%service, why, "waiting for a first Redis node: none is found yet; looking again: check the Redis pods and their Service")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Debug)]
    struct Service {
        login: NodeUrl,
        /// When it looked.
        looks: Mutex<Vec<Instant>>,
    }

    impl Service {
        fn looks_since(&self, since: Instant) -> usize {
            self.looks.lock().iter().filter(|look| **look >= since).count()
        }
    }

    impl FirstNodes for Service {
        fn login(&self) -> &NodeUrl {
            &self.login
        }

        fn find(&self) -> Pin<Box<dyn Future<Output = FoundNodes> + Send + '_>> {
            self.looks.lock().push(Instant::now());
            Box::pin(async { Ok(vec![self.login.clone()]) })
        }
    }

    #[derive(Clone, Default)]
    struct Known(Arc<Mutex<usize>>);

    impl KnownNodes for Known {
        fn suggest(&self, _nodes: &[NodeUrl]) {
            *self.0.lock() += 1;
        }

        fn has_active(&self) -> bool {
            true
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_looks_on_for_a_minute_after_the_first_node_is_heard_and_again_only_when_none_is() {
        let service = Arc::new(Service {
            login: NodeUrl::parse("redis://redis#redis").expect("valid"),
            looks: Mutex::default(),
        });
        let (deaf, known) = (watch::Sender::new(true), Known::default());
        let finding = Finding::new(service.clone(), known.clone(), deaf.subscribe());
        let _running = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(finding.run()));
        let start = Instant::now();
        sleep(Duration::from_secs(600)).await;
        assert!(
            service.looks_since(start) >= 299,
            "every two seconds while none is heard"
        );
        for _ in 0..2 {
            deaf.send_replace(false);
            let heard = Instant::now();
            sleep(LOOK_ON).await;
            assert!(service.looks_since(heard) >= 11, "others may become ready");
            let later = Instant::now();
            sleep(Duration::from_secs(3600)).await;
            assert_eq!(service.looks_since(later), 0);
            assert_eq!(*known.0.lock(), service.looks.lock().len(), "all are suggested");
            deaf.send_replace(true);
            let silent = Instant::now();
            sleep(Duration::from_secs(3)).await;
            assert!(service.looks_since(silent) >= 2);
        }
    }
}
