//! The order of a service to replace what is attached to a client's connections: carried out here at once, in the order of
//! arrival, so that of two concurrent orders the same one counts on every server.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::local::{DataError, Hub};
use crate::wire::{ClientId, Missing, Payload, Refusal, raw_json};

/// The request by which servers order it; answered by the adapter itself.
pub(crate) const CLIENT_DATA: &str = "wsmesh.clientData";

/// The code with which an order that cannot be read, or is too large, is refused.
const BAD_PAYLOAD: &str = "BAD_PAYLOAD";

/// The order.
#[derive(Serialize, Deserialize)]
pub(crate) struct ClientData {
    pub(crate) client: ClientId,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "raw_json")]
    pub(crate) data: Option<Box<RawValue>>,
}

/// The answer: whether the client is on that server.
#[derive(Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) done: bool,
}

/// Carries out the orders of other servers.
#[derive(Debug)]
pub(crate) struct DataOrders {
    hub: Arc<Hub>,
}

impl DataOrders {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// Carries out one order; returns the answer. `sent`: when a copy was published first.
    pub(crate) fn carry_out(&self, payload: &Payload, sent: Option<Instant>) -> Result<Payload, Missing> {
        let answer = match payload.parse::<ClientData>() {
            Ok(ClientData { client, data }) => {
                match data.as_ref().map_or(Ok(()), |json| DataError::check(json.get())) {
                    Ok(()) => Payload::new(&Done {
                        done: self.hub.set_data(&client, data, sent),
                    }),
                    Err(error) => refusal(&error.to_string()),
                }
            }
            // The text of the error may quote the data.
            Err(_) => refusal("write {\"client\": ID, \"data\": JSON}"),
        };
        answer.map_err(|_| Missing::NoReply)
    }
}

fn refusal(text: &str) -> Result<Payload, crate::wire::PayloadError> {
    Refusal::new(BAD_PAYLOAD, text.to_owned()).payload()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wsmesh_protocol::{ErrorCode, forward};

    use super::*;
    use crate::local::MAX_DATA_BYTES;
    use crate::local::{Introduction, LiveContext};
    use crate::wire::Encoding;

    fn ann() -> ClientId {
        ClientId::new("ann").expect("valid")
    }

    /// The answer to an order, and the data afterwards.
    fn ordered(payload: &Payload) -> (Value, Option<String>) {
        let hub = Arc::new(Hub::new(Vec::new()));
        let context = LiveContext::new(Introduction::default());
        hub.attach(&ann(), 0, context.clone());
        let answer = DataOrders::new(hub).carry_out(payload, None).expect("an answer");
        let data = context.data().map(|data| data.get().to_owned());
        (answer.parse().expect("JSON"), data)
    }

    #[test]
    fn names_and_shapes_are_those_of_the_protocol() {
        assert_eq!(
            [CLIENT_DATA, BAD_PAYLOAD],
            [forward::CLIENT_DATA, ErrorCode::BadPayload.as_str()]
        );
        for data in [None, Some(RawValue::from_string("[1]".to_owned()).expect("JSON"))] {
            let ours = ClientData {
                client: ann(),
                data: data.clone(),
            };
            let theirs = forward::ClientData {
                client: "ann".to_owned(),
                data,
            };
            let json = |payload: Result<Payload, _>| payload.map(|payload| payload.bytes().clone()).ok();
            assert_eq!(json(Payload::new(&ours)), json(Payload::new(&theirs)));
        }
    }

    #[test]
    fn data_of_4096_bytes_is_attached_and_one_byte_more_is_refused() {
        for (bytes, is_attached) in [(MAX_DATA_BYTES, true), (MAX_DATA_BYTES + 1, false)] {
            let text = "x".repeat(bytes - 2);
            let order = Payload::new(&json!({"client": "ann", "data": text})).expect("JSON");
            for encoding in [Encoding::Json, Encoding::Msgpack] {
                let bytes = order.encoded(encoding).expect("converts");
                let order = match encoding {
                    Encoding::Json => Payload::from_json(bytes),
                    Encoding::Msgpack => Payload::from_msgpack(bytes),
                };
                let (answer, data) = ordered(&order);
                assert_eq!(data, is_attached.then(|| format!("\"{text}\"")));
                match is_attached {
                    true => assert_eq!(answer, json!({"done": true})),
                    false => assert_eq!(answer["errorCode"], BAD_PAYLOAD, "{answer}"),
                }
            }
        }
    }

    #[test]
    fn an_order_that_cannot_be_read_is_refused_without_a_word_of_it() {
        for broken in [
            r#"{"client":"ann","data":"sec"#,
            r#"{"client":"","data":"secret"}"#,
            r#"{"data":"secret"}"#,
            "null",
            "",
        ] {
            let (answer, data) = ordered(&Payload::from_json(broken));
            assert_eq!((&answer["errorCode"], data), (&json!(BAD_PAYLOAD), None), "{broken}");
            assert!(!answer.to_string().contains("sec"), "{answer}");
        }
    }

    #[test]
    fn a_client_that_is_not_here_has_no_data() {
        let order = Payload::from_json(r#"{"client":"bob","data":1}"#);
        assert_eq!(ordered(&order), (json!({"done": false}), None));
    }
}
