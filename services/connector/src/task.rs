//! The task that keeps one client connected: an attempt, the connection, the decision to reconnect, a wait, again. It owns all
//! I/O. When it ends, everything that waits for it ends at once.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;
use wsmesh_protocol::{CloseCode, Group};

use crate::backoff::{Attempt, Backoff};
use crate::servers::Servers;
use crate::session::Session;
use crate::shared::Shared;
use crate::socket::Dialer;
use crate::{AutoReconnect, ConnectionError, End, Lifecycle, State, TokenIn};

/// An order of the application to the task.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wish {
    /// Close for good.
    Close,
    /// Close if open, and connect now.
    Connect,
    /// Close if open, and connect after the usual wait.
    Reconnect { from_zero: bool },
}

/// The work of one client. Does nothing until [`run`](Self::run) is polled.
pub struct Task {
    shared: Arc<Shared>,
    servers: Servers,
    wishes: mpsc::Receiver<Wish>,
    backoff: Backoff,
    /// How the last connection or attempt ended.
    last: Option<ConnectionError>,
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

/// The next step of the task.
enum Next {
    /// An attempt and, if it succeeds, the connection until it ends.
    Dial,
    /// The wait before the next attempt.
    Wait,
    /// Closed for good, until a wish says otherwise.
    Rest(End),
}

impl Task {
    pub(crate) fn new(shared: Arc<Shared>, servers: Servers, wishes: mpsc::Receiver<Wish>) -> Self {
        Self {
            backoff: Backoff::new(&shared.options),
            shared,
            servers,
            wishes,
            last: None,
        }
    }

    /// Connects and keeps connected. After a close for good it rests until [`connect`](crate::Client::connect). Ends when every
    /// [`Client`](crate::Client) is dropped. Dropping the future closes the connection without a close frame.
    pub async fn run(mut self) {
        let mut next = Next::Dial;
        loop {
            next = match next {
                Next::Dial => self.connection().await,
                Next::Wait => self.pause().await,
                Next::Rest(end) => match self.rest(end).await {
                    Some(next) => next,
                    None => return,
                },
            };
        }
    }

    async fn connection(&mut self) -> Next {
        let shared = Arc::clone(&self.shared);
        let repeat = self.backoff.repeat();
        shared.state.send_replace(State::Connecting { repeat });
        // Boxed: an attempt needs kilobytes that an open connection does not.
        let attempt = Box::pin(attempt(&shared, self.servers.dialer()));
        let attempt = tokio::time::timeout(shared.options.connect_timeout, attempt);
        let attempted = tokio::select! {
            attempted = attempt => attempted,
            wish = self.wishes.recv() => return self.wished(wish),
        };
        let mut session = match attempted {
            Ok(Ok(session)) => session,
            Ok(Err(error)) => return self.broke(error),
            Err(_) => return self.broke(ConnectionError::Timeout(shared.options.connect_timeout)),
        };
        let since = Instant::now();
        session.stands();
        let over = tokio::select! {
            error = session.until_over() => Ok(error),
            wish = self.wishes.recv() => Err(wish),
        };
        shared.hung_up(State::Closing);
        match &over {
            Ok(error) => session.close_after(error).await,
            Err(_) => session.close_by_hand().await,
        }
        // Only a connection that lasted resets the count: else a server that closes at once would be asked without any wait.
        if since.elapsed() >= shared.options.fast_reconnect_interval {
            self.backoff.reset();
        }
        match over {
            Ok(error) if self.has_run_out(&error) => self.ended(error, Group::ComeBackNow),
            Ok(error) => self.broke(error),
            Err(wish) => self.wished(wish),
        }
    }

    /// Whether an open connection ended only because its token expired, and the provider has a fresh one.
    fn has_run_out(&self, error: &ConnectionError) -> bool {
        let code = CloseCode::AuthenticationFailed;
        self.shared.options.token.is_some() && matches!(error, ConnectionError::Closed { code: by, .. } if *by == code)
    }

    fn broke(&mut self, error: ConnectionError) -> Next {
        let group = error.group();
        self.ended(error, group)
    }

    /// Reports how the connection or the attempt ended, and decides whether to reconnect.
    fn ended(&mut self, error: ConnectionError, group: Group) -> Next {
        self.shared.listeners().lifecycle(&Lifecycle::Ended(error.clone()));
        if group != Group::DoNotComeBack {
            self.servers.ended(&error, Instant::now());
            self.shared.turned_to(self.servers.at());
        }
        self.last = Some(error.clone());
        if group != Group::DoNotComeBack && comes_back(self.shared.options.auto_reconnect, &error) {
            Next::Wait
        } else {
            Next::Rest(End::Failed(error))
        }
    }

    /// The next step after a wish; `None` when every handle is dropped.
    fn wished(&mut self, wish: Option<Wish>) -> Next {
        match wish {
            None => Next::Rest(End::ClientDropped),
            Some(Wish::Close) => {
                self.shared.forget_rooms();
                Next::Rest(End::ByHand)
            }
            Some(Wish::Connect) => {
                self.backoff.reset();
                self.servers.forget_delays();
                Next::Dial
            }
            Some(Wish::Reconnect { from_zero }) => {
                if from_zero {
                    self.backoff.reset();
                }
                Next::Wait
            }
        }
    }

    async fn pause(&mut self) -> Next {
        let shared = Arc::clone(&self.shared);
        let given = self.servers.delay(Instant::now());
        let Some(Attempt { repeat, delay }) = self.backoff.next(given, rand::random()) else {
            let (repeat, last) = (self.backoff.repeat(), self.last.clone());
            return Next::Rest(End::RepeatLimit { repeat, last });
        };
        tracing::debug!(repeat, delay_ms = delay.as_millis(), "reconnecting");
        let sleep = tokio::time::sleep(delay);
        shared.state.send_replace(State::Waiting { repeat, delay });
        shared.listeners().lifecycle(&Lifecycle::Reconnecting { repeat, delay });
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                () = &mut sleep => return Next::Dial,
                wish = self.wishes.recv() => match self.wished(wish) {
                    // The wait that is running continues.
                    Next::Wait => {}
                    next => return next,
                },
            }
        }
    }

    /// Rests until a wish for a connection comes; `None` when every handle is dropped.
    async fn rest(&mut self, end: End) -> Option<Next> {
        tracing::debug!(%end, "the connection is closed for good");
        self.shared.hung_up(State::Closed(end));
        loop {
            match self.wishes.recv().await? {
                Wish::Close => self.shared.forget_rooms(),
                wish => return Some(self.wished(Some(wish))),
            }
        }
    }
}

/// One attempt: a token, the WebSocket, authentication.
async fn attempt<'a>(shared: &'a Arc<Shared>, dialer: &Dialer) -> Result<Session<'a>, ConnectionError> {
    let token = match &shared.options.token {
        Some(provider) => provider.token().await.map_err(ConnectionError::Token)?,
        None => None,
    };
    let socket = dialer.dial(token.as_deref()).await?;
    let mut session = Session::new(shared, socket);
    if let (Some(token), TokenIn::Message) = (token, shared.options.token_in) {
        session.authenticate(&token).await?;
    }
    Ok(session)
}

/// Whether to reconnect automatically, if the error allows it.
fn comes_back(auto: AutoReconnect, error: &ConnectionError) -> bool {
    match auto {
        AutoReconnect::Always => true,
        AutoReconnect::AfterError => !matches!(error, ConnectionError::Closed { .. }),
        AutoReconnect::Never => false,
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // The client cannot be opened any more, whatever closed it before.
        self.shared.hung_up(State::Closed(End::TaskEnded));
        self.shared.listeners().close();
    }
}
