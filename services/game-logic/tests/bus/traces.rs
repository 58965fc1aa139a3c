//! What comes of a player's request later belongs to the trace of that request.

use std::sync::Arc;
use std::time::Duration;

use game_logic::rules::matchmaking::Mode;
use game_logic::{Modes, Settings};
use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt, TraceId, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tracing::Instrument;
use tracing::subscriber::DefaultGuard;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;
use wsmesh_adapter::{ServerName, Target, remote_context};

use crate::quick;
use crate::support::{Client, Cluster, Server, until};

/// The spans of this thread that have ended: those of traces that a client began.
#[derive(Debug, Clone, Default)]
struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl Ended {
    fn follow() -> (Self, DefaultGuard) {
        let ended = Self::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(ended.clone())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("tests"));
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        (ended, guard)
    }

    /// The traces of the spans of this name.
    fn traces(&self, name: &str) -> Vec<TraceId> {
        let spans = self.0.lock();
        let named = spans.iter().filter(|span| span.name == name);
        named.map(|span| span.span_context.trace_id()).collect()
    }
}

impl SpanProcessor for Ended {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn trace(number: u128) -> TraceId {
    TraceId::from_bytes(number.to_be_bytes())
}

/// Asks a server for a match of this mode, in a trace of its own.
async fn ask(client: &Client, server: &Server, mode: &str, number: u128) -> Value {
    let parent = remote_context(&format!("00-{}-b7ad6b7169203331-01", trace(number)), None).expect("valid");
    let span = tracing::info_span!("ws.receive");
    span.set_parent(Context::new().with_remote_span_context(parent))
        .expect("a layer");
    let asking = client.request_of(of(server), "matchRequest", json!({"mode": mode}));
    let place = asking.instrument(span).await;
    assert!(place["ticket"].is_string(), "{place}");
    place
}

fn of(server: &Server) -> Target {
    Target::Server(ServerName::new(server.name()).expect("valid"))
}

/// A mode whose queue this server owns, and one whose queue another one owns.
async fn modes(client: &Client, server: &Server, all: &[Mode]) -> (String, String) {
    for Mode { name, .. } in all {
        let place = client
            .request_of(of(server), "matchRequest", json!({"mode": name}))
            .await;
        assert!(place["ticket"].is_string(), "{place}");
    }
    let waiting = (server.stats)()["waiting"].clone();
    let waits_here = |mode: &&Mode| waiting[&mode.name] == 1;
    let here = all.iter().find(waits_here).expect("a mode of this server");
    let elsewhere = all
        .iter()
        .find(|mode| !waits_here(mode))
        .expect("a mode of the other one");
    client.request_of(of(server), "matchCancel", json!({})).await;
    (here.name.clone(), elsewhere.name.clone())
}

#[tokio::test]
async fn a_match_belongs_to_the_request_for_its_mode_although_its_player_asked_for_a_mode_of_another_server_since() {
    let (ended, _guard) = Ended::follow();
    let modes_of_game: Vec<_> = (0..16)
        .map(|number| Mode {
            name: format!("mode-{number}"),
            players: 2,
        })
        .collect();
    let settings = || Settings {
        modes: Modes(modes_of_game.clone()),
        ..quick()
    };
    let cluster = Cluster::new();
    let (one, two) = (
        cluster.game_logic("game-1", settings()).await,
        cluster.game_logic("game-2", settings()).await,
    );
    let ws = cluster.ws_node("ws-1").await;
    for server in [&one, &two] {
        server.sees(3).await;
    }
    let (ann, mut bob) = (ws.client("ann").await, ws.client("bob").await);
    let (here, elsewhere) = modes(&ann, &one, &modes_of_game).await;
    ask(&ann, &one, &here, 1).await;
    ask(&ann, &one, &elsewhere, 2).await;
    bob.request_of(of(&one), "matchRequest", json!({"mode": here})).await;
    bob.push("matchFound").await;
    until("the match was formed in a trace", || {
        !ended.traces("form match").is_empty()
    })
    .await;
    assert_eq!(ended.traces("form match"), [trace(1)]);
}
