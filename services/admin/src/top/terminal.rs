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
    let (mut keys, _reading) = Keys::read();
    loop {
        terminal.0.draw(|frame| draw(frame, &mut screen))?;
        tokio::select! {
            told = news.recv() => match told {
                Some(told) => screen.on_news(told),
                None => return Ok(()),
            },
            key = keys.recv() => match key.context("keys cannot be read any more")?? {
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

/// A thread that reads what happens at the terminal. Dropping this ends it, and waits for that.
struct Keys {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keys {
    fn read() -> (mpsc::Receiver<io::Result<Event>>, Self) {
        let (sender, keys) = mpsc::channel(KEYS);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let event = match event::poll(NOTICED) {
                    Ok(false) => continue,
                    Ok(true) => event::read(),
                    Err(error) => Err(error),
                };
                let failed = event.is_err();
                if sender.blocking_send(event).is_err() || failed {
                    return;
                }
            }
        });
        let thread = Some(thread);
        (keys, Self { stop, thread })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
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
