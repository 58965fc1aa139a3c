//! A Redis node. The only folder that names Redis crates.
//!
//! There are two connections per node, implemented here on top of fred's protocol crate. The subscriber loses nothing:
//! unread data waits in TCP, then in Redis (fred passes messages through a broadcast channel that drops some for a slow
//! reader). The publisher combines all messages of a turn into one write (fred's cost per command would exceed the rest
//! of a message's cost). Everything else that is asked of a Redis goes through fred, on a connection of its own that is
//! open only while somebody asks (`inquiry`), but for an address that is not a node yet (`interview`).

mod connection;
mod extent;
mod info;
mod inquiry;
mod interview;
mod limits;
mod login;
mod publisher;
mod slow_log;
mod subscriber;
mod tls;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::inquiry::{Inquiry, Interview};
use super::link::{Boxed, LinkError, Publisher, Subscriber};
use super::url::NodeUrl;
use tls::{Tls, tls};

/// A Redis node to which connections can be opened.
#[derive(Debug)]
struct Redis {
    url: NodeUrl,
    /// This server's name, shown by CLIENT LIST.
    name: String,
    tls: Option<Tls>,
    limit: Duration,
}

/// The node at a URL. `name` is shown by Redis for this server's connections; `limit` is the longest wait for a
/// command. The files that the URL names are read whenever a connection is opened, and not here. If they cannot be used, opening
/// fails; [`check_files`] and [`checked_endpoint`] say so before.
pub(crate) fn endpoint(url: &NodeUrl, name: &str, limit: Duration) -> Arc<dyn Endpoint> {
    Arc::new(Redis::new(url, name, limit))
}

/// As [`endpoint`], if the files of a URL with TLS can be used. They are read on a thread that may wait for a file system.
///
/// # Errors
/// A sentence that names the file.
pub(crate) async fn checked_endpoint(url: &NodeUrl, name: &str, limit: Duration) -> Result<Arc<dyn Endpoint>, String> {
    let redis = Redis::new(url, name, limit);
    if let Some(tls) = redis.tls.clone() {
        let files = tls.to_string();
        let reading = timeout(limit, spawn_blocking(move || tls.read().map(drop)));
        match reading.await {
            Ok(Ok(read)) => read?,
            Ok(Err(_)) | Err(_) => return Err(format!("{files} could not be read in time")),
        }
    }
    Ok(Arc::new(redis))
}

/// Whether the files of a URL with TLS can be used. Reads them on this thread, for the start.
///
/// # Errors
/// A sentence that names the file.
pub(crate) fn check_files(url: &NodeUrl) -> Result<(), String> {
    if url.tls() { tls(url).read().map(drop) } else { Ok(()) }
}

impl Redis {
    fn new(url: &NodeUrl, name: &str, limit: Duration) -> Self {
        Self {
            url: url.clone(),
            name: shown_name(name),
            tls: url.tls().then(|| tls(url)),
            limit,
        }
    }
}

/// What the connections of this server are called in CLIENT LIST: Redis rejects spaces and control characters.
fn shown_name(server: &str) -> String {
    let shown = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    server.chars().map(shown).collect()
}

impl Endpoint for Redis {
    fn address(&self) -> String {
        self.url.address()
    }

    fn publisher(&self) -> Boxed<'_, Result<Arc<dyn Publisher>, LinkError>> {
        Box::pin(async {
            let publisher = publisher::RedisPublisher::connect(self).await?;
            Ok(Arc::new(publisher) as Arc<dyn Publisher>)
        })
    }

    fn subscriber(&self) -> Boxed<'_, Result<Box<dyn Subscriber>, LinkError>> {
        Box::pin(async {
            let subscriber = subscriber::RedisSubscriber::connect(self).await?;
            Ok(Box::new(subscriber) as Box<dyn Subscriber>)
        })
    }

    fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    fn reach(&self) -> Boxed<'_, Result<(), LinkError>> {
        Box::pin(async { connection::reach(self).await.map(drop) })
    }

    fn inquiry(&self) -> Boxed<'_, Result<Box<dyn Inquiry>, LinkError>> {
        Box::pin(async {
            let inquiry = inquiry::RedisInquiry::connect(self).await?;
            Ok(Box::new(inquiry) as Box<dyn Inquiry>)
        })
    }

    fn interview(&self) -> Boxed<'_, Result<Box<dyn Interview>, LinkError>> {
        Box::pin(async {
            let interview = interview::RedisInterview::connect(self).await?;
            Ok(Box::new(interview) as Box<dyn Interview>)
        })
    }
}
