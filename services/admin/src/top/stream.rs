//! Follows `GET /api/v1/events` of an admin, and opens the stream again when it ends. Nothing is kept: the newest snapshot counts.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Certificate, Client, Response, StatusCode, Url};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::events::{Event, Events};
use super::screen::News;

/// Longest wait for a connection, and for the beginning of an answer.
const ANSWER: Duration = Duration::from_secs(5);
/// A snapshot comes every second, and a heartbeat at least every 15 s: an admin that is silent for longer hangs.
const SILENCE: Duration = Duration::from_secs(20);
/// Pauses before the stream is opened again: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// Most that is read of an answer that says what is wrong.
const MAX_PROBLEM: usize = 16 << 10;

/// An admin, and how to reach it.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    client: Client,
    /// Of the API, with a slash at its end.
    api: Url,
    authorization: Option<HeaderValue>,
}

impl Source {
    /// An admin at this URL, which may have a path. Files are read now.
    ///
    /// # Errors
    /// What is wrong with the URL or a file.
    pub(crate) fn new(url: &str, token_file: Option<&Path>, ca: Option<&Path>) -> anyhow::Result<Self> {
        let what = "--url is where an admin serves its API, for example http://127.0.0.1:9100";
        let base: Url = url.parse().context(what)?;
        anyhow::ensure!(matches!(base.scheme(), "http" | "https") && base.has_host(), "{what}");
        let mut api = base.clone();
        api.set_query(None);
        api.set_path(&format!("{}/api/v1/", base.path().trim_end_matches('/')));
        let mut builder = Client::builder().connect_timeout(ANSWER);
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        if let Some(path) = ca {
            let pem = std::fs::read(path).with_context(|| format!("--ca {}", path.display()))?;
            let authorities = Certificate::from_pem_bundle(&pem).with_context(|| format!("--ca {}", path.display()))?;
            anyhow::ensure!(
                !authorities.is_empty(),
                "--ca {}: there is no certificate in it",
                path.display()
            );
            builder = builder.tls_certs_only(authorities);
        }
        Ok(Self {
            client: builder.build().context("TLS cannot be set up")?,
            api,
            authorization: token_file.map(authorization).transpose()?,
        })
    }

    /// Tells everything that the stream brings, until nobody listens any more.
    pub(crate) async fn follow(self, news: mpsc::Sender<News>) {
        let mut pauses = pauses();
        loop {
            let outcome = tokio::select! {
                outcome = self.read(&news) => outcome,
                () = news.closed() => return,
            };
            match outcome {
                Ok(had_news) => {
                    if had_news {
                        pauses = self::pauses();
                    }
                    tell(&news, News::Lost("the admin ended the stream".to_owned())).await;
                }
                Err(error) => tell(&news, News::Lost(format!("{error:#}"))).await,
            }
            let pause = pauses.next().unwrap_or(PAUSES.1);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = news.closed() => return,
            }
        }
    }

    /// One stream until its end; whether it brought anything.
    async fn read(&self, news: &mpsc::Sender<News>) -> anyhow::Result<bool> {
        let mut answer = self.open().await?;
        tell(news, News::Connected).await;
        let (mut events, mut had_news) = (Events::default(), false);
        loop {
            let chunk = timeout(SILENCE, answer.chunk()).await;
            let chunk = chunk.with_context(|| format!("the admin sent nothing for {} s", SILENCE.as_secs()))?;
            let Some(chunk) = chunk? else { return Ok(had_news) };
            for event in events.take(&chunk)? {
                had_news = true;
                if let Some(read) = read(&event) {
                    tell(news, read?).await;
                }
            }
        }
    }

    async fn open(&self) -> anyhow::Result<Response> {
        let url = self.api.join("events")?;
        let mut request = self.client.get(url.clone()).header(ACCEPT, "text/event-stream");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let answer = timeout(ANSWER, request.send()).await;
        let answer = answer.with_context(|| format!("{url} did not answer within {} s", ANSWER.as_secs()))?;
        // Of a chain such as "error sending request: client error (Connect): tcp connect error: Connection refused", the cause says all.
        let answer = answer.map_err(|error| anyhow::anyhow!("{url}: {}", plain_cause(&error)))?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            status => {
                let detail = detail(answer).await;
                anyhow::bail!(
                    "{url} says {status}{detail}{}",
                    advice(status, self.authorization.is_some())
                )
            }
        }
    }
}

/// Whether an admin is on this machine: no proxy can reach it there.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn authorization(path: &Path) -> anyhow::Result<HeaderValue> {
    let text = std::fs::read_to_string(path).with_context(|| format!("--token-file {}", path.display()))?;
    let value = HeaderValue::from_str(&format!("Bearer {}", text.trim()));
    let mut value = value.map_err(|_| anyhow::anyhow!("--token-file {}: not a token", path.display()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn pauses() -> ExponentialBackoff {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(PAUSES.0)
        .with_max_delay(PAUSES.1)
        .with_factor(2.0);
    pauses.with_jitter().without_max_times().build()
}

/// Waits while the screen is being drawn; then the stream is read again.
async fn tell(news: &mpsc::Sender<News>, what: News) {
    // Nobody listens any more: `follow` sees that.
    let _ = news.send(what).await;
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Why there is no connection. What the TLS library says of a certificate is put into words that say what to do.
fn plain_cause(error: &dyn std::error::Error) -> String {
    let cause = root_cause(error);
    let words = if cause.contains("CaUsedAsEndEntity") {
        "the certificate of this admin is one of an authority (CA:TRUE), which no server may use as its own: give admin one that is \
         not, as the README of admin shows under Top"
    } else if cause.contains("UnknownIssuer") {
        "it is not known who signed the certificate of this admin: name the file with that authority, or with the certificate itself \
         if it signed itself: --ca FILE"
    } else if cause.contains("NotValidForName") {
        "the certificate of this admin is for other hosts than the one in --url: use a name that is in it"
    } else {
        return cause;
    };
    format!("{words} ({cause})")
}

/// What the admin says about a rejection.
async fn detail(mut answer: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Ok(Some(chunk))) = timeout(ANSWER, answer.chunk()).await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_PROBLEM {
            break;
        }
    }
    let problem: Option<Value> = serde_json::from_slice(&body).ok();
    let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
    detail.map_or_else(String::new, |detail| format!(": {detail}"))
}

fn advice(status: StatusCode, has_token: bool) -> &'static str {
    match (status, has_token) {
        (StatusCode::UNAUTHORIZED, false) => "; name the file with your token: --token-file FILE",
        (StatusCode::NOT_FOUND, _) => "; this admin is too old, or --url needs its path prefix",
        _ => "",
    }
}

/// The news of an event; none if it is of no use here.
fn read(event: &Event) -> Option<anyhow::Result<News>> {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match event.name.as_str() {
        "snapshot" => {
            let snapshot = serde_json::from_str(&event.data).context("a snapshot cannot be read");
            Some(snapshot.map(|snapshot| News::Snapshot(Box::new(snapshot))))
        }
        "topology" => Some(Ok(News::Happened(text(&value(&event.data)["text"])))),
        "job" => {
            let job = value(&event.data);
            let [what, node, state] = ["what", "node", "state"].map(|key| text(&job[key]));
            let about = match &job["replicas"] {
                Value::Null => node,
                replicas => format!("{} to {} replicas", replicas["from"], replicas["to"]),
            };
            Some(Ok(News::Happened(format!("job {what} {about}: {state}"))))
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
