//! What the server does in the table's steps.

use serde_json::{Map, Value, json};

use super::{Stage, count, fill, text};

impl Stage {
    pub(super) async fn serve(&mut self, verb: &str, value: &Value, step: &Map<String, Value>) {
        match verb {
            "accept" => self.peer = Some(self.server(step).accept().await),
            "refuse" => drop(self.server(step).tcp().await),
            "silence" => {
                let tcp = self.server(step).tcp().await;
                self.silent.push(tcp);
            }
            "reads" if value.is_string() => assert_eq!(self.peer().read().await, text(value)),
            "reads" => {
                let frame = self.peer().json().await;
                self.same(&frame, value);
            }
            "readsText" => assert_eq!(self.peer().read().await, text(value)),
            "readsAll" => {
                let mut expected = value.as_array().expect("frames").clone();
                let mut frames = Vec::new();
                for _ in &expected {
                    frames.push(self.peer().json().await);
                }
                for list in [&mut expected, &mut frames] {
                    list.sort_by_key(|frame| frame["event"].to_string());
                }
                for (frame, expected) in frames.iter().zip(&expected) {
                    self.same(frame, expected);
                }
            }
            "says" if value.is_string() => self.peer().say(text(value)).await,
            "says" => {
                let name = value["callbackId"].as_str().unwrap_or_default();
                let frame = self.ids.get(name).map_or(value.clone(), |id| fill(value, name, id));
                self.peer().say(frame).await;
            }
            "closes" => {
                let code = u16::try_from(count(&value[0])).expect("a code");
                self.peer
                    .take()
                    .expect("a connection")
                    .close(code, text(&value[1]))
                    .await;
            }
            "drops" => self.peer = None,
            "sees" => {
                let mut peer = self.peer.take().expect("a connection");
                let (code, reason) = peer.closed().await;
                assert_eq!(json!(code), value[0]);
                if let Some(expected) = value[1].as_str() {
                    assert_eq!(reason, expected);
                }
                peer.end().await;
            }
            other => panic!("{other}"),
        }
    }

    /// Compares values; `$NAME` stands for any text, which is known by that name afterwards: the callback id of a repeat may be
    /// another one, its idempotency key must be the same.
    fn same(&mut self, frame: &Value, expected: &Value) {
        let mut filled = expected.clone();
        if let Some(number) = expected["traceparent"].as_str() {
            let number = number.trim_start_matches('#').parse().expect("a number");
            filled["traceparent"] = super::traces::context(number).into();
        }
        for (field, most) in [("callbackId", 64), ("idempotencyKey", 128)] {
            let Some(name) = expected[field].as_str().filter(|name| name.starts_with('$')) else {
                continue;
            };
            let text = &frame[field];
            assert!(
                text.as_str().is_some_and(|text| (1..=most).contains(&text.len())),
                "{frame}"
            );
            if field == "callbackId" || !self.ids.contains_key(name) {
                self.ids.insert(name.to_owned(), text.clone());
            }
            filled[field] = self.ids[name].clone();
        }
        assert_eq!(frame, &filled);
    }
}
