//! Forwards an event to a service, as its rule says; the service's reply goes back to the client.

use std::hash::Hasher;
use std::sync::Arc;

use bytes::Bytes;
use fnv::FnvHasher;
use serde_json::value::RawValue;
use wsmesh_adapter::{
    Adapter, ClientId, Missing, Payload, Pick, PublishError, RequestError, RequestOptions, ServiceName, Target,
    TargetError, shown_code,
};
use wsmesh_protocol::ErrorCode;
use wsmesh_protocol::forward::Forwarded;

use super::call::{Call, OK};
use super::refusal::Refusal;
use super::work::{Relayed, Work};
use crate::routes::{Forwarding, PickBy, ReplyBy};

/// Forwards an event under this name. A request waits for the reply; anything else is only sent.
pub(super) fn forward(forwarding: &Arc<Forwarding>, service: &ServiceName, event: &str, call: Call<'_>) -> Work {
    let rule = &forwarding.rule;
    let edge = call.edge();
    let client = call.session.client();
    let forwarded = Forwarded {
        client: client.to_string(),
        server: edge.adapter.name().to_string(),
        event: event.to_owned(),
        payload: call.payload.to_owned(),
        callback_id: call
            .callback_id
            .filter(|_| rule.reply == ReplyBy::Direct)
            .map(|id| id.clone().into_owned()),
        data: call.session.data().map(|data| RawValue::to_owned(&data)),
    };
    let payload = match Payload::new(&forwarded) {
        Ok(payload) => payload,
        Err(error) => return Work::Done(Err(error.into())),
    };
    let options = RequestOptions {
        timeout: Some(call.remaining()),
        key: call.key.map(|key| key_of(client, key)),
        // Not of everything that is forwarded: after a reconnect, the ws-node is another one.
        fingerprint: call.key.map(|_| fingerprint(call.payload)),
        ..RequestOptions::default()
    };
    let pick = match &options.key {
        // A repeat must reach the server that knows its key.
        Some(key) if rule.pick == PickBy::LeastBusy => Pick::Key(key.clone()),
        _ => rule.pick.pick(client),
    };
    let is_direct = forwarded.callback_id.is_some();
    let sent = Sent {
        adapter: edge.adapter.clone(),
        forwarding: Arc::clone(forwarding),
        event: forwarded.event,
        target: Target::AnyOf(service.clone(), pick),
        payload,
    };
    if is_direct {
        let (session, tally) = (call.session.clone(), call.tally());
        Work::Handed(Box::pin(async move {
            sent.emit().await?;
            // The reply passes as any other frame does.
            tally.ended(&session.handler().edge.metrics.events, None);
            session.expect_reply(options.timeout.unwrap_or_default());
            Ok(())
        }))
    } else if call.callback_id.is_some() {
        // Has its own time limit.
        Work::Relayed(Box::pin(sent.ask(options)))
    } else {
        Work::later(call, async move {
            sent.emit().await?;
            Ok(OK)
        })
    }
}

/// The key by which a service knows a request: that of this client, and of no other. The adapter adds the event.
fn key_of(client: &ClientId, key: &str) -> String {
    format!("{}:{client}{key}", client.as_str().len())
}

/// Another number for another payload. A client can make two payloads that have the same, and only deceives itself.
fn fingerprint(payload: &RawValue) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(payload.get().as_bytes());
    hasher.finish()
}

/// One event on its way to a service.
struct Sent {
    adapter: Adapter,
    forwarding: Arc<Forwarding>,
    event: String,
    target: Target,
    payload: Payload,
}

impl Sent {
    async fn emit(self) -> Result<(), Refusal> {
        let sent = self.adapter.emit(self.target, &self.event, self.payload).await;
        sent.map_err(|error| refusal(&self.forwarding, error.into()))
    }

    async fn ask(self, options: RequestOptions) -> Relayed {
        let answered = self.adapter.call(self.target, &self.event, self.payload, options).await;
        let answered = answered.map_err(|error| refusal(&self.forwarding, error));
        let code = answered
            .as_ref()
            .ok()
            .and_then(|reply| wsmesh_adapter::Refusal::code_of(&reply.payload));
        let outcome = answered.and_then(|reply| {
            let json: Bytes = reply.payload.to_json()?;
            Ok(json)
        });
        Relayed {
            outcome,
            refused: code.as_deref().map(shown_code),
        }
    }
}

/// The error for the client. If the cluster or this rule is wrong, that is logged, too, but not for each event.
fn refusal(forwarding: &Forwarding, error: RequestError) -> Refusal {
    let Some(service) = forwarding.service() else {
        return error.into();
    };
    let event = &forwarding.rule.event;
    let (why, refusal) = match &error {
        RequestError::Publish(PublishError::Target(TargetError::NoServer(_))) => (
            "no server of this service is running: start one, or correct the rule",
            Refusal::new(
                ErrorCode::Unavailable,
                format!(
                    "no server of the service {:?} is available now: try again later",
                    service.as_str()
                ),
            ),
        ),
        RequestError::Missing {
            why: Missing::Unhandled,
            ..
        } => (
            "this service does not handle this event: correct the rule or the service",
            Refusal::new(
                ErrorCode::UnknownEvent,
                format!("the service {:?} does not handle this event", service.as_str()),
            ),
        ),
        _ => return error.into(),
    };
    if let Some(events) = forwarding.count_unserved() {
        tracing::warn!(event, %service, events, "no server handles the events of a rule: {why}");
    }
    refusal
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::{MAX_KEY_BYTES, MAX_NAME_BYTES};
    use wsmesh_protocol::frame::MAX_KEY_CHARS;

    use super::*;
    use crate::routes::to_service;

    #[test]
    fn the_keys_of_two_clients_never_meet_and_the_longest_is_not_too_long() {
        let client = |id: &str| ClientId::new(id).expect("valid");
        assert_ne!(key_of(&client("a"), "bc"), key_of(&client("ab"), "c"));
        assert_ne!(key_of(&client("1"), "1:1a"), key_of(&client("11:1"), "a"));
        let longest = key_of(&client(&"x".repeat(MAX_NAME_BYTES)), &"\u{1f980}".repeat(MAX_KEY_CHARS));
        assert!(longest.len() <= MAX_KEY_BYTES, "{}", longest.len());
    }

    #[test]
    fn a_client_is_told_which_service_is_missing_and_which_does_not_handle_its_event() {
        let rule = serde_json::from_str(r#"{"event":"placeBid","service":"auction"}"#).expect("good");
        let forwarding = to_service(rule);
        let service = ServiceName::new("auction").expect("valid");
        let missing = refusal(&forwarding, PublishError::Target(TargetError::NoServer(service)).into());
        assert_eq!(
            (missing.code, &*missing.text),
            (
                ErrorCode::Unavailable,
                r#"no server of the service "auction" is available now: try again later"#
            )
        );
        let unhandled = refusal(
            &forwarding,
            RequestError::Missing {
                server: wsmesh_adapter::ServerName::new("auction-7").expect("valid"),
                why: Missing::Unhandled,
            },
        );
        assert_eq!(unhandled.code, ErrorCode::UnknownEvent);
        assert!(
            unhandled.text.contains(r#""auction""#) && !unhandled.text.contains("auction-7"),
            "{}",
            unhandled.text
        );
    }
}
