//! What the client does in the table's steps.

use std::future::IntoFuture;
use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Map, Value};
use wsmesh_connector::{Payload, RequestError, Room};

use super::{Stage, ms, text};

impl Stage {
    pub(super) async fn act(&mut self, verb: &str, value: &Value, step: &Map<String, Value>) {
        let client = self.client.clone();
        let payload = step.get("payload").cloned().unwrap_or_default();
        match verb {
            "emit" => client.emit(text(value), &payload).await.expect("emitted"),
            "request" => {
                let mut request = client.request(text(value), &payload);
                if let Some(timeout) = step.get("callbackTimeout") {
                    request = request.timeout(ms(timeout));
                }
                if let Some(after) = step.get("pendingTimeout") {
                    request = request.pending_timeout(ms(after));
                }
                if step.contains_key("pending") {
                    let (told, name) = (Arc::clone(&self.pending), text(&step["as"]).to_owned());
                    request = request.on_pending(move || told.lock().push(name));
                }
                if step.get("retry").is_some_and(|retry| retry == true) {
                    request = request.retry();
                }
                if let Some(key) = step.get("idempotencyKey") {
                    request = request.idempotency_key(text(key));
                }
                self.asked(text(&step["as"]), request.into_future());
            }
            "joinRoom" | "leaveRoom" => {
                let room = value[0]
                    .as_str()
                    .map_or_else(|| Room::new(value[0].as_i64().expect("an id")), Room::from);
                let room = match value[1].as_str() {
                    Some(namespace) => room.in_namespace(namespace),
                    None => room,
                };
                let joins = verb == "joinRoom";
                self.asked(text(&step["as"]), async move {
                    if joins {
                        client.join_room(room).await
                    } else {
                        client.leave_room(room).await
                    }
                });
            }
            "on" | "once" => self.listen(verb, text(value), step),
            "off" => match (step.get("as"), step.get("tag")) {
                (Some(name), _) => self.listening.remove(text(name)).expect("a listener").abort(),
                (None, Some(tag)) => client.off_tagged(text(value), &tag.to_string()),
                (None, None) => client.off(text(value)),
            },
            "answer" => {
                let mut asked = client.on_request(text(value));
                tokio::spawn(async move {
                    while let Some(request) = asked.recv().await {
                        request.answer(&payload).await.expect("answered");
                    }
                });
            }
            "close" => drop(tokio::spawn(async move { client.close().await })),
            "connect" => client.connect().await,
            "reconnect" if value == true => client.reconnect_from_zero().await,
            "reconnect" => client.reconnect().await,
            "pingInterval" => client.set_ping_interval_now(ms(value)),
            other => panic!("{other}"),
        }
    }

    fn asked(&mut self, name: &str, request: impl Future<Output = Result<Payload, RequestError>> + Send + 'static) {
        let reply = async move {
            let reply = request.await.map_err(|error| error.code().to_owned())?;
            Ok(reply.json().expect("JSON"))
        };
        self.requests.insert(name.to_owned(), tokio::spawn(reply));
    }

    fn listen(&mut self, verb: &str, event: &str, step: &Map<String, Value>) {
        let name = text(&step["as"]).to_owned();
        let tag = step.get("tag").map(Value::to_string);
        let (client, heard, hearer) = (&self.client, self.heard.0.clone(), name.clone());
        let task = match (verb, tag) {
            ("once", tag) => {
                let next = match tag {
                    Some(tag) => client.once_tagged(event, &tag).boxed(),
                    None => client.once(event).boxed(),
                };
                tokio::spawn(async move {
                    if next.await.is_some() {
                        heard.send(hearer).expect("the stage stands");
                    }
                })
            }
            (_, tag) => {
                let mut listener = match tag {
                    Some(tag) => client.on_tagged(event, &tag),
                    None => client.on(event),
                };
                tokio::spawn(async move {
                    while listener.recv().await.is_some() {
                        heard.send(hearer.clone()).expect("the stage stands");
                    }
                })
            }
        };
        self.listening.insert(name, task);
    }
}
