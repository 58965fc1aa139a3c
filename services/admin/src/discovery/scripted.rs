//! For tests: finds what the test says, when it says it.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Discovery, Found};

/// Finds what a test says.
#[derive(Debug)]
pub(crate) struct Scripted {
    said: watch::Receiver<Arc<Found>>,
    last: Option<Arc<Found>>,
}

impl Scripted {
    /// What is found is what the sender has.
    pub(crate) fn new(found: Found) -> (watch::Sender<Arc<Found>>, Self) {
        let (sender, said) = watch::channel(Arc::new(found));
        (sender, Self { said, last: None })
    }
}

impl Discovery for Scripted {
    async fn changed(&mut self) -> Arc<Found> {
        loop {
            let found = self.said.borrow_and_update().clone();
            if self.last.as_ref() != Some(&found) {
                self.last = Some(Arc::clone(&found));
                return found;
            }
            if self.said.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
