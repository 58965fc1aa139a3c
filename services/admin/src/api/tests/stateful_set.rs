//! A StatefulSet at an API server on loopback that speaks HTTP and follows a script.

use std::collections::VecDeque;
use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::fixture::Cluster;
use crate::kubernetes::{PodNames, StatefulSetScale};
use crate::scaler::{Pace, Scaler};

/// What the API server does with a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    /// It answers with this status.
    Fails(u16),
    /// It changes the StatefulSet, and answers with this status.
    ChangesAndFails(u16),
    /// It never answers.
    Hangs,
}

/// Looks often, and gives up soon.
pub(super) const HASTY: Pace = Pace {
    every: Duration::from_millis(20),
    patience: Duration::from_millis(300),
    needed: Duration::from_millis(300),
};
/// Looks often, and does not give up within a test.
pub(super) const PATIENT: Pace = Pace {
    every: Duration::from_millis(20),
    patience: Duration::from_secs(60),
    needed: Duration::from_secs(60),
};
const ANSWER: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub(super) struct StatefulSet {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    replicas: u32,
    version: u64,
    /// How often it was read.
    read: usize,
    /// What becomes of the next requests that read; later ones succeed.
    reads: VecDeque<Fate>,
    /// What becomes of the next requests that change; later ones succeed.
    changes: VecDeque<Fate>,
    /// How many replicas were asked for, and when: whatever came of it.
    asked: Vec<(u64, Timestamp)>,
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, method: Method, uri: Uri, body: String) -> Response {
    assert_eq!(
        uri.path(),
        "/apis/apps/v1/namespaces/game/statefulsets/redis/scale",
        "nothing else is touched"
    );
    let fate = {
        let mut script = script.lock();
        match method {
            Method::GET => {
                script.read += 1;
                script.reads.pop_front()
            }
            Method::PATCH => {
                let patch: Value = serde_json::from_str(&body).expect("JSON");
                let wanted = patch["spec"]["replicas"].as_u64().expect("a number");
                script.asked.push((wanted, Timestamp::now()));
                let fate = script.changes.pop_front();
                if matches!(fate, None | Some(Fate::ChangesAndFails(_))) {
                    let version = script.version.to_string();
                    if patch["metadata"]["resourceVersion"] != version {
                        return failure(409);
                    }
                    script.set(u32::try_from(wanted).expect("few"));
                }
                fate
            }
            other => panic!("{other} is not needed"),
        }
    };
    match fate {
        Some(Fate::Fails(code) | Fate::ChangesAndFails(code)) => failure(code),
        Some(Fate::Hangs) => std::future::pending().await,
        None => Json(script.lock().scale()).into_response(),
    }
}

/// As the API server says it.
fn failure(code: u16) -> Response {
    let message = match code {
        403 => r#"statefulsets.apps "redis" is forbidden: User "admin" cannot patch resource "statefulsets/scale""#,
        409 => "the object has been modified; please apply your changes to the latest version and try again",
        _ => "etcd is away",
    };
    let status = json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": code,
                        "reason": "Reason", "message": message});
    (StatusCode::from_u16(code).expect("a status"), Json(status)).into_response()
}

impl Script {
    fn scale(&self) -> Value {
        json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": "redis", "namespace": "game", "resourceVersion": self.version.to_string()},
            "spec": {"replicas": self.replicas},
            "status": {"replicas": self.replicas},
        })
    }

    fn set(&mut self, replicas: u32) {
        self.replicas = replicas;
        self.version += 1;
    }
}

impl StatefulSet {
    pub(super) async fn start(replicas: u32) -> Self {
        // An error means that a provider is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let script = Arc::new(Mutex::new(Script {
            replicas,
            version: 7,
            ..Script::default()
        }));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&script));
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { address, script }
    }

    /// What scales it, at this admin. It carries nothing out by itself.
    pub(super) fn scaler(&self, cluster: &Cluster) -> Scaler {
        let mut config = kube::Config::new(format!("http://{}", self.address).parse().expect("a URL"));
        config.default_namespace = "game".to_owned();
        let client = kube::Client::try_from(config).expect("a client");
        let scale = StatefulSetScale::new(client, "redis").answered_within(ANSWER);
        let names = PodNames::embedded("redis");
        Scaler::of(cluster.admin.clone(), cluster.jobs.clone(), scale, names)
    }

    /// This admin scales it, and leads until the task is aborted.
    pub(super) fn led_by(&self, cluster: &mut Cluster, pace: Pace) -> JoinHandle<()> {
        let scaler = self.scaler(cluster);
        cluster.scaler = Some(scaler.clone());
        tokio::spawn(async move { scaler.lead(pace).await })
    }

    /// What becomes of the next requests that read it.
    pub(super) fn reads(&self, fates: impl IntoIterator<Item = Fate>) {
        self.script.lock().reads.extend(fates);
    }

    /// What becomes of the next requests that change it.
    pub(super) fn changes(&self, fates: impl IntoIterator<Item = Fate>) {
        self.script.lock().changes.extend(fates);
    }

    /// Somebody else scales it.
    pub(super) fn set(&self, replicas: u32) {
        self.script.lock().set(replicas);
    }

    pub(super) fn replicas(&self) -> u32 {
        self.script.lock().replicas
    }

    /// How often it was read.
    pub(super) fn read(&self) -> usize {
        self.script.lock().read
    }

    /// How many replicas were asked for.
    pub(super) fn asked(&self) -> Vec<u64> {
        self.script.lock().asked.iter().map(|(replicas, _)| *replicas).collect()
    }

    /// When replicas were asked for last.
    pub(super) fn asked_at(&self) -> Option<Timestamp> {
        self.script.lock().asked.last().map(|(_, at)| *at)
    }
}
