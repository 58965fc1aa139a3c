//! What the table's steps expect of the client.

use std::time::Duration;

use serde_json::{Map, Value, json};
use wsmesh_connector::{ConnectionError, EmitError, End, Lifecycle, State};

use super::{Stage, TICK, ms, text};
use crate::support::soon;

impl Stage {
    /// The next event of this kind; others are kept until they are expected.
    async fn next<T>(&mut self, what: &str, kind: impl Fn(&Lifecycle) -> Option<T>) -> T {
        if let Some(index) = self.seen.iter().position(|seen| kind(seen).is_some()) {
            return self.seen.remove(index).as_ref().and_then(kind).expect("just found");
        }
        loop {
            let happened = soon(what, self.lifecycle.recv()).await.expect("the task runs");
            match kind(&happened) {
                Some(found) => return found,
                None => self.seen.push_back(happened),
            }
        }
    }

    pub(super) async fn expect(&mut self, what: &str, step: &Map<String, Value>) {
        match what {
            "open" => {
                self.next(what, |happened| matches!(happened, Lifecycle::Opened).then_some(()))
                    .await;
            }
            "pong" => {
                self.next(what, |happened| {
                    matches!(happened, Lifecycle::Pong { .. }).then_some(())
                })
                .await;
            }
            "ended" => {
                let code = self.next(what, ended).await;
                assert_eq!(json!(code), step["code"]);
            }
            "reconnect" => self.expect_reconnect(step).await,
            "rests" => self.expect_rest(text(&step["because"])).await,
            "reply" | "error" => self.expect_outcome(what, step).await,
            "event" => self.expect_event(step).await,
            "pending" => {
                self.settle().await;
                let told = self.pending.lock().clone();
                assert_eq!(json!(told), step["of"]);
            }
            "traces" => {
                self.settle().await;
                assert_eq!(Value::from(self.traces.ended()), step["ended"]);
            }
            "heard" => self.expect_heard(step["by"].as_array().expect("names")).await,
            "roomLost" => self.expect_room_lost(&step["room"]).await,
            "notOpen" => match self.client.try_emit("probe", &1) {
                Err(EmitError::Full) => assert!(self.keeps, "nothing is kept"),
                other => assert!(matches!(other, Err(EmitError::NotOpen)), "{other:?}"),
            },
            other => panic!("the table expects something that this test does not know: {other}"),
        }
    }

    async fn expect_reconnect(&mut self, step: &Map<String, Value>) {
        // A server keeps reading, so that it answers a close of the client.
        if let Some(mut peer) = self.peer.take() {
            tokio::spawn(async move { peer.end().await });
        }
        let (repeat, delay) = self.next("reconnect", reconnecting).await;
        assert_eq!(json!(repeat), step["repeat"]);
        let (least, most) = (ms(&step["wait"][0]), ms(&step["wait"][1]));
        // Each step that advances the clock may advance it by a tick more.
        assert!((least.saturating_sub(TICK * 4)..=most).contains(&delay), "{delay:?}");
        self.wait = delay;
    }

    async fn expect_rest(&mut self, because: &str) {
        let mut state = self.client.state();
        let closed = state.wait_for(|state| matches!(state, State::Closed(_)));
        let closed = soon("closed for good", closed).await.expect("the client lives").clone();
        let fits = match closed {
            State::Closed(End::ByHand) => because == "hand",
            State::Closed(End::RepeatLimit { .. }) => because == "limit",
            State::Closed(End::Failed(_)) => because == "stop" || because == "asked",
            _ => false,
        };
        assert!(fits, "{closed} is not {because}");
    }

    /// The reply to a request, or its error.
    async fn expect_outcome(&mut self, what: &str, step: &Map<String, Value>) {
        let request = self.requests.remove(text(&step["of"])).expect("a request");
        match soon(what, request).await.expect("it ends") {
            Ok(payload) => assert_eq!(Some(&payload), step.get("payload"), "{what}"),
            Err(code) => {
                assert_eq!(what, "error", "{code}");
                assert!(step.get("code").is_none_or(|expected| *expected == code), "{code}");
            }
        }
    }

    async fn expect_event(&mut self, step: &Map<String, Value>) {
        loop {
            let event = soon("event", self.events.recv()).await.expect("the task runs");
            if *event.name == *text(&step["event"]) {
                assert_eq!(event.payload.json::<Value>().expect("JSON"), step["payload"]);
                return;
            }
        }
    }

    /// These listeners get the event, and no others.
    async fn expect_heard(&mut self, by: &[Value]) {
        for name in by {
            let heard = soon("a listener hears it", self.heard.1.recv()).await;
            assert_eq!(heard.as_deref(), name.as_str(), "of {by:?}");
        }
        self.settle().await;
        assert!(self.heard.1.is_empty(), "others heard it, too");
    }

    async fn expect_room_lost(&mut self, expected: &Value) {
        let lost = self.next("roomLost", |happened| match happened {
            Lifecycle::RoomLost { room, code, text } => Some((room.clone(), code.clone(), text.clone())),
            _ => None,
        });
        let (room, code, text) = lost.await;
        let mut lost = json!(room);
        lost["error"] = json!(text);
        lost["errorCode"] = json!(code);
        assert_eq!(lost, *expected);
    }
}

fn ended(happened: &Lifecycle) -> Option<u16> {
    match happened {
        Lifecycle::Ended(ConnectionError::Closed { code, .. }) => Some((*code).into()),
        Lifecycle::Ended(ConnectionError::PongTimeout) => Some(4002),
        Lifecycle::Ended(_) => Some(1006),
        _ => None,
    }
}

fn reconnecting(happened: &Lifecycle) -> Option<(u32, Duration)> {
    match happened {
        Lifecycle::Reconnecting { repeat, delay } => Some((*repeat, *delay)),
        _ => None,
    }
}
