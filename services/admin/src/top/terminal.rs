//! The terminal: full screen and raw while it lasts, as it was before afterwards, also after a panic, an error or a signal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::draw::draw;
use super::screen::{News, Outcome, Screen};

/// How soon the thread that reads keys notices that it is to end.
const NOTICED: Duration = Duration::from_millis(100);
/// Keys that wait while the screen is drawn.
const KEYS: usize = 64;

/// Shows the screen until somebody quits.
///
/// # Errors
/// When the terminal cannot be used any more.
pub(crate) async fn show(mut screen: Screen, mut news: mpsc::Receiver<News>) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    // Its panic hook restores the terminal before the message is printed.
    let mut terminal = Restored(ratatui::try_init().context("the terminal cannot be used")?);
    let mut keys = Keys::read(next_event);
    loop {
        terminal.0.draw(|frame| draw(frame, &mut screen))?;
        tokio::select! {
            told = news.recv() => match told {
                Some(told) => screen.on_news(told),
                None => return Ok(()),
            },
            key = keys.events.recv() => match key.context("keys cannot be read any more")?? {
                Event::Key(key) if screen.on_key(key) == Outcome::Quit => return Ok(()),
                // Drawing asks for the size.
                _ => {}
            },
            () = signals.next() => return Ok(()),
        }
    }
}

/// A terminal that is restored when this is dropped.
struct Restored(DefaultTerminal);

impl Drop for Restored {
    fn drop(&mut self) {
        // It is closed, if this fails.
        let _ = ratatui::try_restore();
    }
}

/// What happens at the terminal; none, if nothing did for a moment.
fn next_event() -> io::Result<Option<Event>> {
    match event::poll(NOTICED)? {
        true => event::read().map(Some),
        false => Ok(None),
    }
}

/// A thread that reads what happens at the terminal. Dropping this ends it, and waits for that.
struct Keys {
    events: mpsc::Receiver<io::Result<Event>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keys {
    fn read(mut next: impl FnMut() -> io::Result<Option<Event>> + Send + 'static) -> Self {
        let (sender, events) = mpsc::channel(KEYS);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let Some(event) = next().transpose() else { continue };
                let failed = event.is_err();
                if sender.blocking_send(event).is_err() || failed {
                    return;
                }
            }
        });
        let thread = Some(thread);
        Self { events, stop, thread }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It may wait for a place in the queue.
        self.events.close();
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, its message was printed.
            let _ = thread.join();
        }
    }
}

/// The signals to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_screen_that_is_left_while_keys_wait_does_not_hang() {
        let keys = Keys::read(|| Ok(Some(Event::FocusGained)));
        let full = async {
            let mut every = tokio::time::interval(Duration::from_millis(1));
            while keys.events.len() < KEYS {
                every.tick().await;
            }
        };
        let limit = Duration::from_secs(15);
        tokio::time::timeout(limit, full).await.expect("the queue is full");
        let (ended, end) = std::sync::mpsc::channel();
        thread::spawn(move || {
            drop(keys);
            ended.send(())
        });
        end.recv_timeout(limit).expect("the thread ended");
    }
}
