//! The watch, tested with an API server on loopback that speaks the watch protocol and follows a script.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::tests::{endpoint, pod, slice, view_with};
use super::*;

/// What the API server does with a watch.
enum Fate {
    Fails,
    IsClosed,
    /// It sends these events and then keeps the watch open.
    Tells(Vec<Value>),
}

/// A Kubernetes API with one list at a time.
#[derive(Clone)]
struct ApiServer {
    address: SocketAddr,
    state: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    /// The lists, in turn; the last one is repeated.
    lists: VecDeque<Value>,
    /// What happens to the watches, in turn; later watches stay open.
    fates: VecDeque<Fate>,
    /// When each watch was requested, and from which version on.
    watches: Vec<(Instant, String)>,
}

async fn answer(State(state): State<Arc<Mutex<Script>>>, uri: Uri) -> Response {
    let query = uri.query().unwrap_or_default();
    let mut script = state.lock();
    if !query.contains("watch=true") {
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
    let lines = match script.fates.pop_front().unwrap_or(Fate::Tells(Vec::new())) {
        Fate::Fails => return (StatusCode::INTERNAL_SERVER_ERROR, "etcd is away").into_response(),
        Fate::IsClosed => return Body::empty().into_response(),
        Fate::Tells(events) => events
            .into_iter()
            .map(|event| Ok::<_, Infallible>(format!("{event}\n"))),
    };
    Body::from_stream(stream::iter(lines).chain(stream::pending())).into_response()
}

/// A list of this version, with one pod.
fn list(version: &str, pod: &str, ip: &str) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSliceList", "metadata": {"resourceVersion": version},
        "items": [slice(json!([endpoint(pod, ip, json!({"ready": true}))]))],
    })
}

impl ApiServer {
    async fn start(lists: impl IntoIterator<Item = Value>, fates: impl IntoIterator<Item = Fate>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let state = Arc::new(Mutex::new(Script {
            lists: lists.into_iter().collect(),
            fates: fates.into_iter().collect(),
            watches: Vec::new(),
        }));
        let address = listener.local_addr().expect("bound");
        let app = Router::new().fallback(answer).with_state(Arc::clone(&state));
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { address, state }
    }

    /// An admin's view of it.
    fn watched(&self) -> (Kubernetes, JoinHandle<()>) {
        let url = format!("http://{}", self.address).parse().expect("a URL");
        let mut config = kube::Config::new(url);
        config.default_namespace = "game".to_owned();
        let client = Client::try_from(config).expect("a client");
        Kubernetes::watch(client, "wsmesh-redis", CancellationToken::new())
    }

    fn watches(&self) -> Vec<(Instant, String)> {
        self.state.lock().watches.clone()
    }

    async fn watched_times(&self, times: usize) -> Vec<(Instant, String)> {
        let waiting = async {
            let mut every = tokio::time::interval(Duration::from_millis(5));
            while self.watches().len() < times {
                every.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting)
            .await
            .expect("watched so often in time");
        self.watches()
    }
}

#[tokio::test]
async fn the_problem_of_a_watch_that_could_not_start_is_over_once_a_watch_works() {
    let server = ApiServer::start([list("7", "redis-0", "10.0.0.1")], [Fate::Fails]).await;
    let (kubernetes, _task) = server.watched();
    view_with(&kubernetes, |view| {
        view.problem
            .as_ref()
            .is_some_and(|problem| problem.contains("etcd is away"))
    })
    .await;
    let view = view_with(&kubernetes, |view| view.problem.is_none()).await;
    assert_eq!(view.pods, [pod("redis-0", "10.0.0.1", true)]);
    let versions: Vec<_> = server.watches().into_iter().map(|(_, version)| version).collect();
    assert_eq!(
        versions,
        ["7", "7"],
        "nothing had happened, so nothing was listed again"
    );
}

#[tokio::test]
async fn a_watch_that_is_closed_at_once_is_restarted_after_a_pause() {
    let fates = [Fate::IsClosed, Fate::IsClosed];
    let server = ApiServer::start([list("7", "redis-0", "10.0.0.1")], fates).await;
    let (kubernetes, _task) = server.watched();
    let watches = server.watched_times(3).await;
    let pauses = [1, 2].map(|number| watches[number].0.duration_since(watches[number - 1].0));
    assert!(pauses[0] >= Duration::from_millis(490), "{pauses:?}");
    assert!(pauses[1] >= Duration::from_millis(990), "{pauses:?}");
    view_with(&kubernetes, |view| view.problem.is_none()).await;
}

#[tokio::test]
async fn changes_are_followed_and_a_version_that_is_gone_is_listed_again() {
    let mut change = slice(json!([endpoint("redis-0", "10.0.0.1", json!({"ready": false}))]));
    change["metadata"]["resourceVersion"] = json!("8");
    let gone = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version", "reason": "Expired", "code": 410});
    let fates = [Fate::Tells(vec![json!({"type": "MODIFIED", "object": change})])];
    let lists = [list("7", "redis-0", "10.0.0.1"), list("20", "redis-1", "10.0.0.2")];
    let server = ApiServer::start(lists.clone(), fates).await;
    let (kubernetes, _task) = server.watched();
    let changed = view_with(&kubernetes, |view| view.pods == [pod("redis-0", "10.0.0.1", false)]).await;
    assert_eq!(changed.problem, None);

    let fates = [Fate::Tells(vec![json!({"type": "ERROR", "object": gone})])];
    let server = ApiServer::start(lists, fates).await;
    let (kubernetes, _task) = server.watched();
    let view = view_with(&kubernetes, |view| view.pods == [pod("redis-1", "10.0.0.2", true)]).await;
    assert_eq!(view.problem, None);
    let versions: Vec<_> = server
        .watched_times(2)
        .await
        .into_iter()
        .map(|(_, version)| version)
        .collect();
    assert_eq!(versions, ["7", "20"]);
}
