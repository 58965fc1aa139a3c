//! Logs once that something cannot be sent, and once that it can be sent again, in place of an error every few seconds.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};

use super::signal::Signal;

/// Whether a collector takes what it is sent.
#[derive(Debug)]
pub(crate) struct Outage {
    signal: Signal,
    endpoint: String,
    lasts: AtomicBool,
}

impl Outage {
    /// The collector at `endpoint`, which must show no secret, takes everything so far.
    pub(crate) fn new(signal: Signal, endpoint: String) -> Self {
        let lasts = AtomicBool::new(false);
        Self {
            signal,
            endpoint,
            lasts,
        }
    }

    /// Logs the result of sending, if the one before was another.
    pub(crate) fn log<E: Display>(&self, result: Result<(), E>) {
        let lasted = self.lasts.swap(result.is_err(), Ordering::Relaxed);
        let (what, endpoint) = (self.signal.plural(), &self.endpoint);
        match result {
            Err(error) if !lasted => tracing::warn!(
                endpoint,
                %error,
                "{what} cannot be sent and are dropped until they can: check that OTEL_EXPORTER_OTLP_ENDPOINT is right, that a \
                 server answers there, and its certificate if it is https"
            ),
            Ok(()) if lasted => tracing::info!(endpoint, "{what} are sent again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_change_is_one_line_and_what_stays_as_it_is_is_none() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || writer.clone());
        let outage = Outage::new(Signal::Metrics, "http://collector/".to_owned());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let (fine, broken) = (Ok(()), Err("broken"));
            for result in [fine, fine, broken, broken, broken, fine, fine] {
                outage.log(result);
            }
        });
        let text = String::from_utf8(lines.0.lock().clone()).expect("text");
        let [first, second] = &text.lines().collect::<Vec<_>>()[..] else {
            panic!("two lines: {text}")
        };
        assert!(
            first.contains("WARN") && first.contains("metrics cannot be sent") && first.contains("broken"),
            "{first}"
        );
        assert!(
            second.contains("INFO") && second.contains("metrics are sent again"),
            "{second}"
        );
    }
}
