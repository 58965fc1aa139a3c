//! What tests log, as text.

use std::io;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

/// What was written. Clones write to the same place.
#[derive(Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).expect("text")
    }
}

/// Subscribers that take nothing. If there were only the one of a test, tracing would ask the subscriber of the thread that comes to a line
/// first: another test without one would turn that line off for all threads.
static OTHERS: LazyLock<[Dispatch; 2]> = LazyLock::new(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::default())));

/// Everything that this thread logs down to this level while it runs this.
pub(crate) fn logged(level: LevelFilter, run: impl FnOnce()) -> String {
    LazyLock::force(&OTHERS);
    let written = Written::default();
    let writer = written.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .with_filter(level);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), run);
    written.text()
}
