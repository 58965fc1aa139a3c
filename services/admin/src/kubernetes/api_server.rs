//! For tests: a Kubernetes API that follows a script. It is asked through doors, of which each can be broken by itself: in this process,
//! so that time may be paused, or over HTTP on loopback.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use kube::Client;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::time::Instant;

/// Longest wait for anything in these tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// What the API server does with a list or a watch of EndpointSlices.
#[derive(Debug)]
pub(crate) enum Fate {
    Fails(u16),
    /// A watch is closed at once.
    IsClosed,
    /// It sends these events and then keeps the watch open.
    Tells(Vec<Value>),
}

/// What is wrong with a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// Nothing arrives, and nothing is answered.
    Hangs,
    /// Everything is done, and nothing is answered.
    SwallowsAnswers,
    /// Everything is answered later.
    IsSlow(Duration),
    /// Everything is rejected.
    Refuses(u16),
}

/// A Kubernetes API. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ApiServer {
    state: Arc<Mutex<Script>>,
    live: broadcast::Sender<Value>,
}

#[derive(Debug, Default)]
pub(crate) struct Script {
    /// The lists of EndpointSlices, in turn; the last one is repeated.
    pub(crate) lists: VecDeque<Value>,
    /// How lists fail before that.
    pub(crate) list_failures: VecDeque<u16>,
    /// What happens to the watches, in turn; later watches stay open and get what is [pushed](ApiServer::push).
    pub(crate) fates: VecDeque<Fate>,
    /// When each watch was requested, and from which version on.
    pub(crate) watches: Vec<(Instant, String)>,
    pub(crate) replicas: Option<u32>,
    /// The ordinal of the first pod.
    pub(crate) start: u32,
    pub(crate) lease: Option<Value>,
    /// The version of the next object that is written.
    version: u64,
    /// How often the Lease was written.
    pub(crate) lease_writes: usize,
    /// Events that were created or counted.
    pub(crate) events: Vec<Value>,
}

/// A way to the API server.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    server: ApiServer,
    trouble: Arc<Mutex<Trouble>>,
}

impl ApiServer {
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::default(),
            live: broadcast::channel(64).0,
        }
    }

    pub(crate) fn door(&self) -> Door {
        Door {
            server: self.clone(),
            trouble: Arc::new(Mutex::new(Trouble::None)),
        }
    }

    pub(crate) fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.state.lock())
    }

    /// Sends an event to the watches that are open.
    pub(crate) fn push(&self, event: Value) {
        // Nobody may watch now.
        let _ = self.live.send(event);
    }

    /// Waits until the script satisfies `wanted`.
    pub(crate) async fn until(&self, wanted: impl Fn(&Script) -> bool) {
        let found = async {
            let mut every = tokio::time::interval(Duration::from_millis(5));
            while !wanted(&self.state.lock()) {
                every.tick().await;
            }
        };
        tokio::time::timeout(LIMIT, found).await.expect("in time");
    }

    fn answer(&self, method: &Method, path: &str, query: &str, body: &[u8]) -> Response {
        let last = path.rsplit('/').next().unwrap_or_default();
        if path.contains("/endpointslices") {
            self.slices(query)
        } else if path.contains("/statefulsets/") {
            self.stateful_set(last)
        } else if path.contains("/leases") {
            self.lease(method, body)
        } else if path.contains("/events") {
            let event: Value = serde_json::from_slice(body).expect("JSON");
            self.state.lock().events.push(event.clone());
            event.to_string().into_response()
        } else {
            panic!("{method} {path}")
        }
    }

    fn slices(&self, query: &str) -> Response {
        let mut script = self.state.lock();
        if !query.contains("watch=true") {
            if let Some(code) = script.list_failures.pop_front() {
                return refusal(code);
            }
            let list = if script.lists.len() > 1 {
                script.lists.pop_front()
            } else {
                script.lists.front().cloned()
            };
            return list.expect("a list").to_string().into_response();
        }
        let version = query.split('&').find_map(|part| part.strip_prefix("resourceVersion="));
        script
            .watches
            .push((Instant::now(), version.unwrap_or_default().to_owned()));
        let events = match script.fates.pop_front() {
            Some(Fate::Fails(code)) => return refusal(code),
            Some(Fate::IsClosed) => return Body::empty().into_response(),
            Some(Fate::Tells(events)) => events,
            None => Vec::new(),
        };
        let live = stream::unfold(self.live.subscribe(), async |mut live| {
            let event = live.recv().await.ok()?;
            Some((event, live))
        });
        let lines = stream::iter(events).chain(live);
        Body::from_stream(lines.map(|event| Ok::<_, Infallible>(format!("{event}\n")))).into_response()
    }

    fn stateful_set(&self, name: &str) -> Response {
        let (replicas, start) = {
            let script = self.state.lock();
            (script.replicas, script.start)
        };
        let Some(replicas) = replicas else {
            return refusal(404);
        };
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "uid": "set-1"},
            "spec": {"replicas": replicas, "ordinals": {"start": start}, "serviceName": name, "selector": {}, "template": {}}});
        set.to_string().into_response()
    }

    fn lease(&self, method: &Method, body: &[u8]) -> Response {
        let mut script = self.state.lock();
        if *method == Method::GET {
            let lease = script.lease.as_ref();
            return lease.map_or_else(|| refusal(404), |lease| lease.to_string().into_response());
        }
        let mut new: Value = serde_json::from_slice(body).expect("JSON");
        let known = script
            .lease
            .as_ref()
            .map(|lease| lease["metadata"]["resourceVersion"].clone());
        match (known, *method == Method::POST) {
            (None, false) => return refusal(404),
            (Some(_), true) => return refusal(409),
            (Some(known), false) if new["metadata"]["resourceVersion"] != known => return refusal(409),
            _ => {}
        }
        script.version += 1;
        script.lease_writes += 1;
        new["metadata"]["resourceVersion"] = json!(format!("v{}", script.version));
        script.lease = Some(new.clone());
        new.to_string().into_response()
    }
}

impl Door {
    pub(crate) fn set(&self, trouble: Trouble) {
        *self.trouble.lock() = trouble;
    }

    /// A client that goes through this door, in this process.
    pub(crate) fn client(&self) -> Client {
        let door = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let door = door.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.expect("a body");
                let query = parts.uri.query().unwrap_or_default();
                Ok::<_, Infallible>(door.pass(&parts.method, parts.uri.path(), query, &body).await)
            }
        });
        Client::new(service, "game")
    }

    /// A client that goes through this door, over HTTP.
    pub(crate) async fn http_client(&self) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let door = self.clone();
        let answer = move |request: Request<Body>| {
            let door = door.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.expect("a body");
                let query = parts.uri.query().unwrap_or_default();
                door.pass(&parts.method, parts.uri.path(), query, &body).await
            }
        };
        tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
        let mut config = kube::Config::new(url.parse().expect("a URL"));
        config.default_namespace = "game".to_owned();
        Client::try_from(config).expect("a client")
    }

    async fn pass(&self, method: &Method, path: &str, query: &str, body: &Bytes) -> Response {
        let trouble = *self.trouble.lock();
        let answer = || self.server.answer(method, path, query, body);
        match trouble {
            Trouble::None => answer(),
            Trouble::Refuses(code) => refusal(code),
            Trouble::Hangs => std::future::pending().await,
            Trouble::SwallowsAnswers => {
                answer();
                std::future::pending().await
            }
            Trouble::IsSlow(time) => {
                tokio::time::sleep(time).await;
                answer()
            }
        }
    }
}

fn refusal(code: u16) -> Response {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        _ => "InternalError",
    };
    let message = match code {
        403 => "it is forbidden",
        500 => "etcd is away",
        _ => reason,
    };
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code});
    let code = StatusCode::from_u16(code).expect("a code");
    (code, status.to_string()).into_response()
}

/// An EndpointSlice.
pub(crate) fn slice(name: &str, endpoints: Value) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "game", "resourceVersion": "1", "uid": "u1"},
        "addressType": "IPv4",
        "endpoints": endpoints,
    })
}

pub(crate) fn endpoint(pod: &str, ip: &str, conditions: Value) -> Value {
    json!({"addresses": [ip], "conditions": conditions, "targetRef": {"kind": "Pod", "name": pod}})
}

/// A list of this version.
pub(crate) fn list(version: &str, slices: &[Value]) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSliceList", "metadata": {"resourceVersion": version},
        "items": slices})
}

/// A change of a slice.
pub(crate) fn modified(version: &str, mut slice: Value) -> Value {
    slice["metadata"]["resourceVersion"] = json!(version);
    json!({"type": "MODIFIED", "object": slice})
}
