//! The task that keeps one client connected: attempt, session, verdict, wait, again. It owns all I/O; when it is over,
//! whoever waits is told at once.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;
use wsmesh_protocol::Group;

use crate::backoff::Backoff;
use crate::session::Session;
use crate::shared::Shared;
use crate::socket::Dialer;
use crate::{AutoReconnect, ConnectionError, End, Lifecycle, State};

/// What the application asks of the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wish {
    /// Close for good.
    Close,
    /// Close if open, and connect now.
    Reconnect,
}

/// The work of one client. Does nothing until [`run`](Self::run) is polled.
pub struct Task {
    shared: Arc<Shared>,
    dialer: Dialer,
    wishes: mpsc::Receiver<Wish>,
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

/// How an attempt and its connection ended.
enum Over {
    Broken(ConnectionError),
    /// None: nobody is left to have wishes.
    Wished(Option<Wish>),
}

/// How the wait for the next attempt ended.
enum Pause {
    Over,
    Wished(Option<Wish>),
    ComesNotBack(End),
}

impl Task {
    pub(crate) fn new(shared: Arc<Shared>, dialer: Dialer, wishes: mpsc::Receiver<Wish>) -> Self {
        Self { shared, dialer, wishes }
    }

    /// Connects and keeps connected; after a close for good it rests until [`reconnect`](crate::Client::reconnect). Ends
    /// when every [`Client`](crate::Client) is dropped. Dropping the future closes the connection without a word.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new(&self.shared.options);
        loop {
            let end = self.keep_connected(&mut backoff).await;
            tracing::debug!(%end, "the connection is closed for good");
            self.shared.hung_up(State::Closed(end));
            loop {
                match self.wishes.recv().await {
                    None => return,
                    Some(Wish::Reconnect) => break,
                    Some(Wish::Close) => {}
                }
            }
            backoff.reset();
        }
    }

    async fn keep_connected(&mut self, backoff: &mut Backoff) -> End {
        loop {
            let wish = match self.connection(backoff).await {
                Over::Wished(wish) => wish,
                Over::Broken(error) => match self.pause(error, backoff).await {
                    Pause::Over => continue,
                    Pause::Wished(wish) => wish,
                    Pause::ComesNotBack(end) => return end,
                },
            };
            match wish {
                Some(Wish::Reconnect) => backoff.reset(),
                Some(Wish::Close) => return End::ByHand,
                None => return End::ClientDropped,
            }
        }
    }

    /// One attempt and, if it succeeds, the connection until it ends.
    async fn connection(&mut self, backoff: &mut Backoff) -> Over {
        let shared = Arc::clone(&self.shared);
        shared.state.send_replace(State::Connecting);
        let dialed = tokio::select! {
            dialed = self.dialer.dial() => dialed,
            wish = self.wishes.recv() => return Over::Wished(wish),
        };
        let socket = match dialed {
            Ok(socket) => socket,
            Err(error) => return Over::Broken(error),
        };
        let since = Instant::now();
        let mut session = Session::open(&shared, socket);
        let over = tokio::select! {
            error = session.until_over() => Over::Broken(error),
            wish = self.wishes.recv() => Over::Wished(wish),
        };
        shared.hung_up(State::Closing);
        match &over {
            Over::Broken(error) => session.close_after(error).await,
            Over::Wished(_) => session.close_by_hand().await,
        }
        // A connection that falls at once is no success: who resets here would run in circles without waiting.
        if since.elapsed() >= shared.options.fast_reconnect_interval {
            backoff.reset();
        }
        over
    }

    /// Decides whether to come back, and waits until it is time or a wish comes.
    async fn pause(&mut self, error: ConnectionError, backoff: &mut Backoff) -> Pause {
        let shared = Arc::clone(&self.shared);
        shared.listeners().lifecycle(&Lifecycle::Ended(error.clone()));
        if !comes_back(shared.options.auto_reconnect, &error) {
            return Pause::ComesNotBack(End::Failed(error));
        }
        let Some(attempt) = backoff.next(error.retry_after(), rand::random()) else {
            let repeat = backoff.repeat();
            return Pause::ComesNotBack(End::RepeatLimit { repeat, last: error });
        };
        let (repeat, delay) = (attempt.repeat, attempt.delay);
        tracing::debug!(%error, repeat, delay_ms = delay.as_millis(), "connecting again");
        shared.state.send_replace(State::Waiting { repeat, delay });
        shared.listeners().lifecycle(&Lifecycle::Reconnecting { repeat, delay });
        tokio::select! {
            () = tokio::time::sleep(delay) => Pause::Over,
            wish = self.wishes.recv() => Pause::Wished(wish),
        }
    }
}

fn comes_back(auto: AutoReconnect, error: &ConnectionError) -> bool {
    let allowed = match auto {
        AutoReconnect::Always => true,
        AutoReconnect::AfterError => !matches!(error, ConnectionError::Closed { .. }),
        AutoReconnect::Never => false,
    };
    allowed && error.group() != Group::DoNotComeBack
}

impl Drop for Task {
    fn drop(&mut self) {
        // Nothing brings it back now, whatever it was closed by before.
        self.shared.hung_up(State::Closed(End::TaskEnded));
        self.shared.listeners().close();
    }
}
