//! Keys that are fetched (JWKS, RFC 7517): at the start, regularly, and when a token names an unknown key.
//!
//! If a set cannot be fetched or used, the last good one stays. Bad tokens cannot cause a storm: they start a fetch at most
//! every 30 s. One task fetches; it ends by [`Jwks::stop`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use reqwest::redirect::Policy;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wsmesh_bootstrap::HttpUrl;

use super::keys::KeySet;

/// Longest time for one fetch.
const FETCH: Duration = Duration::from_millis(3500);

/// Longest time to connect for one fetch, which the addresses of the host share: a silent one must not use up all of it.
const CONNECT: Duration = Duration::from_secs(3);

/// Largest answer that is read.
const MOST_BYTES: usize = 256 * 1024;

/// Shortest time between two fetches that tokens cause.
const ASKED: Duration = Duration::from_secs(30);

/// After a fetch that failed: the first and the longest wait.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// Which keys are fetched, and what is said when they cannot be.
#[derive(Debug, Clone)]
pub struct JwksSource {
    /// Where they are.
    pub url: HttpUrl,
    /// How often they are fetched.
    pub refresh: Duration,
    /// The setting that names the URL, as it is written on a command line.
    pub setting: &'static str,
    /// What follows as long as there are no keys.
    pub without_keys: &'static str,
}

/// Keys that are fetched.
pub struct Jwks {
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: TaskTracker,
}

struct Shared {
    source: JwksSource,
    keys: ArcSwapOption<KeySet>,
    asked: Notify,
    state: watch::Sender<State>,
    /// Is told whether a fetch succeeded.
    on_fetch: Box<dyn Fn(bool) + Send + Sync>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Fetches that have ended.
    ended: u64,
    fetching: bool,
    /// When a token may cause a fetch again.
    ask_after: Option<Instant>,
}

impl Jwks {
    /// Starts to fetch. Must be called inside a tokio runtime. `on_fetch` is told after each fetch whether there were keys.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn start(source: JwksSource, on_fetch: impl Fn(bool) + Send + Sync + 'static) -> Result<Self, String> {
        let (url, refresh) = (&source.url, source.refresh);
        if url.as_url().scheme() == "http" {
            tracing::warn!(%url, "keys are fetched over http: anybody on the network path could replace them");
        }
        let client = client().and_then(|builder| builder.build().map_err(|error| chain(&error)))?;
        let shared = Arc::new(Shared {
            source,
            keys: ArcSwapOption::empty(),
            asked: Notify::new(),
            state: watch::Sender::default(),
            on_fetch: Box::new(on_fetch),
        });
        let (stop, task) = (CancellationToken::new(), TaskTracker::new());
        let work = stop
            .clone()
            .run_until_cancelled_owned(keep(Arc::clone(&shared), client, refresh));
        task.spawn(work);
        task.close();
        Ok(Self { shared, stop, task })
    }

    /// The last good set; None before the first fetch.
    pub(super) fn keys(&self) -> Option<Arc<KeySet>> {
        self.shared.keys.load_full()
    }

    /// Whether there are keys yet.
    pub fn is_ready(&self) -> bool {
        self.shared.keys.load().is_some()
    }

    /// For a token that names an unknown key: waits for a fetch that starts or is under way now. `false` if there is none,
    /// since tokens have caused one recently.
    pub(super) async fn fetched_again(&self) -> bool {
        let mut state = self.shared.state.subscribe();
        let before = *state.borrow_and_update();
        if !before.fetching {
            if before.ask_after.is_some_and(|after| Instant::now() < after) {
                return false;
            }
            self.shared.asked.notify_one();
        }
        let ended = state.wait_for(|now| now.ended > before.ended);
        timeout(FETCH, ended).await.is_ok_and(|ended| ended.is_ok())
    }

    /// Ends the task, and waits until it has ended.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.task.wait().await;
    }
}

impl Drop for Jwks {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwks").finish_non_exhaustive()
    }
}

/// Fetches for as long as it is polled.
async fn keep(shared: Arc<Shared>, client: reqwest::Client, refresh: Duration) {
    let mut failed = 0;
    loop {
        shared.state.send_modify(|state| state.fetching = true);
        let fetched = fetch(&client, &shared.source.url).await;
        failed = if fetched.is_ok() { 0 } else { failed + 1 };
        take(&shared, fetched, failed);
        shared.state.send_modify(|state| {
            state.fetching = false;
            state.ended += 1;
        });
        let pause = if failed == 0 {
            refresh
        } else {
            back_off(failed).min(refresh)
        };
        wait(&shared, pause.mul_f64(rand::random_range(0.9..=1.1))).await;
    }
}

/// Keeps the fetched keys, or logs why there are none; each is logged once, not every time.
fn take(shared: &Shared, fetched: Result<KeySet, String>, failed: u32) {
    let JwksSource { url, setting, .. } = &shared.source;
    (shared.on_fetch)(fetched.is_ok());
    match fetched {
        Ok(keys) => {
            if shared.keys.swap(Some(Arc::new(keys))).is_none() {
                tracing::info!(%url, "the keys that tokens are verified with were fetched");
            }
        }
        Err(problem) => {
            let consequence = if shared.keys.load().is_some() {
                "the last good ones stay in use"
            } else {
                shared.source.without_keys
            };
            if failed == 1 {
                tracing::error!(%url, problem, consequence, "keys cannot be fetched; trying again: check {setting}, what answers there, and its certificate");
            } else {
                tracing::debug!(%url, problem, failed, "keys cannot be fetched");
            }
        }
    }
}

/// Until the pause is over, or a token asks and may.
async fn wait(shared: &Shared, pause: Duration) {
    let over = sleep(pause);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return,
            () = shared.asked.notified() => {}
        }
        let now = Instant::now();
        // Two tokens at once may leave one notification over.
        if shared.state.borrow().ask_after.is_none_or(|after| after <= now) {
            return shared.state.send_modify(|state| state.ask_after = Some(now + ASKED));
        }
    }
}

fn back_off(failed: u32) -> Duration {
    let (first, longest) = BACK_OFF;
    first.saturating_mul(1 << (failed - 1).min(16)).min(longest)
}

async fn fetch(client: &reqwest::Client, url: &HttpUrl) -> Result<KeySet, String> {
    let readable = |error: reqwest::Error| chain(&error.without_url());
    let mut response = client.get(url.as_url().clone()).send().await.map_err(readable)?;
    if !response.status().is_success() {
        return Err(format!("the answer is {}", response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(readable)? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(format!("the answer has more than {MOST_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    KeySet::from_jwks(&body)
}

/// An error with its causes: reqwest's own texts leave them out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// TLS with ring and the system's certificates, whatever provider the process has installed. Follows no redirects: keys come
/// only from the configured URL.
fn client() -> Result<reqwest::ClientBuilder, String> {
    let mut roots = rustls::RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    tracing::debug!(added, "loaded the certificates of this system");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(Policy::none())
        .timeout(FETCH)
        .connect_timeout(CONNECT)
        .pool_max_idle_per_host(0))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use wsmesh_dial::testing::Silent;

    use super::*;

    #[tokio::test]
    async fn a_silent_address_of_the_host_does_not_use_up_a_fetch() {
        let silent = Silent::start_on(([127, 0, 0, 2], 0).into()).await;
        let port = silent.address().port();
        let live = TcpListener::bind(("127.0.0.1", port)).await.expect("the same port");
        let addresses = [silent.address(), live.local_addr().expect("bound")];
        let client = client().expect("TLS").resolve_to_addrs("keys.test", &addresses);
        let url = format!("http://keys.test:{port}/keys").parse().expect("a URL");
        let client = client.timeout(Duration::from_secs(60)).build().expect("a client");
        let answering = async {
            let (mut stream, _) = live.accept().await.expect("a connection");
            let _ = stream.read(&mut [0; 1024]).await.expect("a request");
            let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.expect("written");
        };
        let (fetched, answered) = tokio::join!(fetch(&client, &url), timeout(FETCH, answering));
        answered.expect("asked within the time for one fetch");
        assert_eq!(fetched.err().as_deref(), Some("the answer is 404 Not Found"));
    }

    #[test]
    fn the_waits_between_fetches_that_fail_grow_up_to_a_minute() {
        assert_eq!(back_off(1), Duration::from_millis(500));
        assert_eq!(back_off(2), Duration::from_secs(1));
        assert_eq!(back_off(8), Duration::from_secs(60));
        assert_eq!(back_off(u32::MAX), Duration::from_secs(60));
    }
}
