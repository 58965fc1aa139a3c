//! A backend of the test: HTTP/1.1 by hand over TCP, so that it can do what no HTTP library would.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use ws_node::Rule;

/// What a backend got.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The number of the connection that it came on.
    pub(crate) connection: usize,
}

impl Request {
    /// The values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let found = self.headers.iter().filter(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a header that is there once.
    pub(crate) fn header(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name}: {all:?}");
        all[0]
    }
}

/// What a backend does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Sends these bytes, and reads on.
    Send(Vec<u8>),
    /// The same after a while.
    Later(Duration, Vec<u8>),
    /// Sends these bytes, and closes the connection.
    SendAndClose(Vec<u8>),
    /// One byte, and the next one after this time.
    Drip(Vec<u8>, Duration),
    /// Nothing, with the connection open.
    Hang,
}

/// An answer with this status and JSON.
pub(crate) fn answer(status: u16, body: &str) -> Vec<u8> {
    answer_of(status, "application/json", body)
}

pub(crate) fn answer_of(status: u16, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

type Script = dyn Fn(&Request) -> Act + Send + Sync;

/// A running backend.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    under_way: Arc<AtomicUsize>,
    _serving: AbortOnDropHandle<()>,
}

impl Backend {
    /// A backend that does with each request what this says.
    pub(crate) async fn start(script: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Self {
        Self::start_on(([127, 0, 0, 1], 0).into(), script).await
    }

    pub(crate) async fn start_on(
        address: SocketAddr,
        script: impl Fn(&Request) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (requests, under_way) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicUsize>::default());
        let served = Served {
            script: Arc::new(script),
            requests: Arc::clone(&requests),
            under_way: Arc::clone(&under_way),
        };
        let serving = tokio::spawn(async move {
            // Ends the connections, too.
            let mut connections = tokio::task::JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.expect("accepts");
                stream.set_nodelay(true).expect("set");
                connections.spawn(served.clone().serve(stream, connection));
            }
        });
        Self {
            address,
            requests,
            under_way,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// A rule that forwards an event to it, with a time limit that holds on a busy machine.
    pub(crate) fn rule(&self, event: &str) -> Rule {
        rule(event, &format!("http://{}/{event}", self.address))
    }

    /// What it got so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }

    /// Requests that it has not finished with.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }
}

pub(crate) fn rule(event: &str, url: &str) -> Rule {
    Rule {
        timeout_ms: Some(8000),
        ..Rule::to_url(event, url.parse().expect("a URL"))
    }
}

#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) script: Arc<Script>,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
    pub(crate) under_way: Arc<AtomicUsize>,
}

impl Served {
    pub(crate) async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin, connection: usize) {
        while let Some(request) = read(&mut stream, connection).await {
            let act = (self.script)(&request);
            self.requests.lock().push(request);
            self.under_way.fetch_add(1, Ordering::SeqCst);
            let goes_on = self.act(&mut stream, act).await;
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            if !goes_on {
                return;
            }
        }
    }

    /// `false`: the connection ends.
    async fn act(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin), act: Act) -> bool {
        match act {
            Act::Send(bytes) => stream.write_all(&bytes).await.is_ok(),
            Act::Later(after, bytes) => {
                // Like slow work: there is nothing to wait for.
                tokio::time::sleep(after).await;
                stream.write_all(&bytes).await.is_ok()
            }
            Act::SendAndClose(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                false
            }
            Act::Drip(bytes, every) => {
                for byte in bytes {
                    if stream.write_all(&[byte]).await.is_err() || gone(stream, every).await {
                        return false;
                    }
                }
                true
            }
            Act::Hang => {
                gone(stream, Duration::MAX).await;
                false
            }
        }
    }
}

/// Whether the other side hangs up within this time.
async fn gone(stream: &mut (impl AsyncRead + Unpin), within: Duration) -> bool {
    matches!(
        tokio::time::timeout(within, stream.read(&mut [0])).await,
        Ok(Ok(0) | Err(_))
    )
}

/// The next request; None at the end of the connection.
async fn read(stream: &mut (impl AsyncRead + Unpin), connection: usize) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("visible ASCII");
    let mut lines = head.trim_end().split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<_> = lines
        .map(|line| line.split_once(": ").expect("a header"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut request = Request {
        path,
        headers,
        body: String::new(),
        connection,
    };
    let mut body = vec![0; request.header("content-length").parse().expect("a length")];
    stream.read_exact(&mut body).await.ok()?;
    request.body = String::from_utf8(body).expect("UTF-8");
    Some(request)
}
