//! Questions to a Redis, over fred.
//!
//! What is asked costs the same however many clients and keys the Redis has: the counts of INFO, our own connections by
//! their numbers, ten entries of the slow log. Nothing lists all clients, and nothing touches keys. A command that the
//! user may not use, or that this Redis does not know, leaves out what it would have said.
//!
//! Only nodes are asked this way: fred reads without a bound, and calls itself for arrays inside arrays. What may become a
//! node is asked over a connection of our own (`interview`).

use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::config::{Config, Server, ServerConfig, TlsConfig, TlsConnector};
use fred::types::{Builder, ConnectHandle, CustomCommand, Value};
use rustls::ClientConfig;

use super::login::{Attempt, Login};
use super::{Redis, info, slow_log, trouble};
use crate::nodes::facts::{NodeFacts, OutputBuffer};
use crate::nodes::inquiry::{About, Inquiry};
use crate::nodes::link::{Boxed, LinkError, LinkErrorKind, SubscriberNumber};
use crate::wire::ServerName;

/// The most entries of the slow log that are asked for.
const SLOW_LOG: &str = "10";

/// A fred client with its connection. It does not reconnect: whoever asks opens another one.
pub(super) struct RedisInquiry {
    asking: Asking,
    /// Drives the connection; fred started it. None once it has ended.
    driving: Option<ConnectHandle>,
}

/// What sends the commands.
struct Asking {
    client: Client,
    address: String,
}

impl Drop for RedisInquiry {
    fn drop(&mut self) {
        if let Some(driving) = &self.driving {
            driving.abort();
        }
    }
}

impl RedisInquiry {
    pub(super) async fn connect(redis: &Redis) -> Result<Self, LinkError> {
        let address = redis.url.address();
        let login = Login::of(&redis.url).await?;
        let tls = match &redis.tls {
            Some(tls) => Some(tls.now().await.map_err(|problem| trouble::files(&address, &problem))?),
            None => None,
        };
        let mut attempts = login.attempts().peekable();
        if attempts.peek().is_none() {
            return Self::open(redis, tls, None).await;
        }
        let mut refused = None;
        for attempt in attempts {
            match Self::open(redis, tls.clone(), Some(&attempt)).await {
                Ok(inquiry) => {
                    attempt.worked();
                    return Ok(inquiry);
                }
                Err(error) if error.kind == LinkErrorKind::Auth => _ = refused.get_or_insert(error),
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or_else(|| trouble::unanswered(&address)))
    }

    async fn open(
        redis: &Redis,
        tls: Option<Arc<ClientConfig>>,
        attempt: Option<&Attempt<'_>>,
    ) -> Result<Self, LinkError> {
        let (url, address) = (&redis.url, redis.url.address());
        // fred tries the addresses of a host one after the other, and a silent one would take all the time.
        let reached = super::connection::reach(redis).await?;
        let answering = reached.peer_addr();
        let answering = answering.map_err(|error| trouble::connect(&address, url.tls(), &error.to_string()))?;
        drop(reached);
        let client = client(redis, answering, tls, attempt).map_err(|error| not_opened(&address, url.tls(), &error))?;
        let mut connected = pin!(client.wait_for_connect());
        // It listens from its first poll on, and must not miss what happens at once.
        poll_fn(|cx| Poll::Ready(connected.as_mut().poll(cx).is_pending())).await;
        let inquiry = Self {
            driving: Some(client.connect()),
            asking: Asking {
                client: client.clone(),
                address: address.clone(),
            },
        };
        connected
            .await
            .map_err(|error| not_opened(&address, url.tls(), &error))?;
        // Only helps people who look at CLIENT LIST, so an ACL may forbid it.
        let _may_be_forbidden = inquiry.asking.command("CLIENT", &["SETNAME", &redis.name]).await?;
        Ok(inquiry)
    }

    /// Asks while the connection lasts: fred would wait for an answer after its end.
    async fn while_connected<'a, T, F: Future<Output = Result<T, LinkError>>>(
        &'a mut self,
        ask: impl FnOnce(&'a Asking) -> F,
    ) -> Result<T, LinkError> {
        let ended = |address| trouble::ended(address, "closed by Redis");
        let Some(driving) = &mut self.driving else {
            return Err(ended(&self.asking.address));
        };
        tokio::select! {
            biased;
            _ = driving => {
                self.driving = None;
                Err(ended(&self.asking.address))
            }
            answer = ask(&self.asking) => answer,
        }
    }
}

impl Asking {
    /// Sends one command; none if the user may not use it, or if this Redis does not know it.
    async fn command(&self, name: &'static str, words: &[&str]) -> Result<Option<Value>, LinkError> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let command = CustomCommand::new_static(name, None::<u16>, false);
        match self.client.custom(command, words).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_refusal(error.details()) => Ok(None),
            Err(error) => Err(failed(&self.address, &error)),
        }
    }

    async fn text(&self, name: &'static str, words: &[&str]) -> Result<Option<String>, LinkError> {
        Ok(self.command(name, words).await?.and_then(|value| value.into_string()))
    }

    async fn info(&self) -> Result<Option<String>, LinkError> {
        self.text("INFO", &[]).await
    }

    /// What waits for these connections of ours. Others are not asked about: there may be many.
    async fn output_buffers(
        &self,
        subscribers: &[(ServerName, SubscriberNumber)],
    ) -> Result<Option<Vec<OutputBuffer>>, LinkError> {
        if subscribers.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let numbers: Vec<String> = subscribers.iter().map(|(_, number)| number.to_string()).collect();
        let words: Vec<&str> = ["LIST", "ID"]
            .into_iter()
            .chain(numbers.iter().map(String::as_str))
            .collect();
        let list = self.text("CLIENT", &words).await?;
        Ok(list.map(|list| info::output_buffers(&list, subscribers)))
    }

    async fn facts(&self, subscribers: &[(ServerName, SubscriberNumber)]) -> Result<NodeFacts, LinkError> {
        let start = Instant::now();
        let (about, buffers, slow) = tokio::try_join!(
            self.info(),
            self.output_buffers(subscribers),
            self.command("SLOWLOG", &["GET", SLOW_LOG]),
        )?;
        let mut facts = info::facts(about.as_deref().unwrap_or_default());
        let asked = [
            ("INFO", about.is_some()),
            ("CLIENT LIST", buffers.is_some()),
            ("SLOWLOG", slow.is_some()),
        ];
        let forbidden = asked.into_iter().filter(|(_, answered)| !answered);
        facts.forbidden = forbidden.map(|(command, _)| command.to_owned()).collect();
        facts.output_buffers = buffers.unwrap_or_default();
        facts.slow_commands = slow.as_ref().map(slow_log::count);
        facts.slow_log = slow.map(slow_log::entries).unwrap_or_default();
        facts.collected_ms = start.elapsed().as_millis() as u64;
        Ok(facts)
    }

    async fn about(&self) -> Result<About, LinkError> {
        Ok(info::about(self.info().await?.as_deref().unwrap_or_default()))
    }
}

/// A client that logs in as the links do, and gives up at the first error.
fn client(
    redis: &Redis,
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    attempt: Option<&Attempt<'_>>,
) -> Result<Client, Error> {
    let host = match address.ip() {
        IpAddr::V6(ip) => format!("[{ip}]"),
        IpAddr::V4(ip) => ip.to_string(),
    };
    let name = tls.is_some().then(|| redis.url.host().to_owned());
    let tls = tls.map(|tls| TlsConnector::Rustls(tls.into()));
    let config = Config {
        username: attempt.and_then(Attempt::user).map(str::to_owned),
        password: attempt.map(|attempt| attempt.password().to_owned()),
        server: ServerConfig::Centralized {
            server: Server::new_with_tls(host, address.port(), name),
        },
        tls: tls.map(TlsConfig::from),
        ..Config::default()
    };
    // Without a policy for it, fred does not reconnect.
    Builder::from_config(config)
        .with_connection_config(|connection| {
            connection.connection_timeout = redis.limit;
            connection.internal_command_timeout = redis.limit;
            connection.max_command_attempts = 1;
            connection.tcp.nodelay = Some(true);
        })
        .with_performance_config(|performance| performance.default_command_timeout = redis.limit)
        .build()
}

/// Whether a Redis, or a server that imitates one, does not answer this command to this user. It can answer others.
pub(super) fn is_refusal(said: &str) -> bool {
    said.starts_with("NOPERM") || said.starts_with("ERR")
}

/// fred's error in the words that the links use, once the connection was opened.
fn failed(address: &str, error: &Error) -> LinkError {
    let said = error.details();
    match error.kind() {
        _ if is_answer(said) => trouble::rejected(address, said),
        ErrorKind::Timeout => trouble::unanswered(address),
        ErrorKind::Protocol | ErrorKind::Parse => trouble::not_redis(address, &[], said),
        _ => trouble::ended(address, said),
    }
}

/// fred's error in the words that the links use, while the connection is opened.
fn not_opened(address: &str, tls: bool, error: &Error) -> LinkError {
    let said = error.details();
    match error.kind() {
        _ if is_answer(said) => trouble::rejected(address, said),
        ErrorKind::Timeout => trouble::unreachable(address, tls),
        ErrorKind::Protocol | ErrorKind::Parse => trouble::not_redis(address, &[], said),
        _ => trouble::connect(address, tls, &plain(said)),
    }
}

/// Whether an error is what Redis answered: it begins with a code in capital letters.
fn is_answer(said: &str) -> bool {
    let code = said.split_whitespace().next().unwrap_or_default();
    code.len() > 2 && code.chars().all(|c| c.is_ascii_uppercase())
}

/// fred shows errors of the system and of TLS in the form for programmers.
fn plain(said: &str) -> String {
    let inner = said.split_once("error: ").map_or(said, |(_, inner)| inner);
    let inner = inner.trim_end_matches([' ', '}']);
    match inner.strip_prefix("AlertReceived(") {
        Some(alert) => format!("received fatal alert: {}", alert.trim_end_matches(')')),
        None => inner.to_owned(),
    }
}

impl Inquiry for RedisInquiry {
    fn facts<'a>(
        &'a mut self,
        subscribers: &'a [(ServerName, SubscriberNumber)],
    ) -> Boxed<'a, Result<NodeFacts, LinkError>> {
        Box::pin(self.while_connected(|asking| asking.facts(subscribers)))
    }

    fn about(&mut self) -> Boxed<'_, Result<About, LinkError>> {
        Box::pin(self.while_connected(Asking::about))
    }

    fn close(mut self: Box<Self>) -> Boxed<'static, ()> {
        Box::pin(async move {
            if let Some(driving) = self.driving.take() {
                driving.abort();
                // Ends at once: it was aborted, or its connection had ended before.
                let _ = driving.await;
            }
        })
    }
}
