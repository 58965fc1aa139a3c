//! Forwards an event to a service, as its rule says; the service's reply goes back to the client.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use wsmesh_adapter::{
    Adapter, Missing, Payload, PublishError, RequestError, RequestOptions, ServiceName, Target, TargetError,
};
use wsmesh_protocol::ErrorCode;
use wsmesh_protocol::forward::Forwarded;

use super::call::{Call, OK};
use super::refusal::Refusal;
use super::work::{Outcome, Work};
use crate::routes::{Forwarding, ReplyBy};

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
        key: call.key.map(|key| format!("{client}/{event}/{key}")),
        ..RequestOptions::default()
    };
    let is_direct = forwarded.callback_id.is_some();
    let sent = Sent {
        adapter: edge.adapter.clone(),
        forwarding: Arc::clone(forwarding),
        event: forwarded.event,
        target: Target::AnyOf(service.clone(), rule.pick.pick(client)),
        payload,
    };
    if is_direct {
        let session = call.session.clone();
        Work::Handed(Box::pin(async move {
            sent.emit().await?;
            session.expect_reply(options.timeout.unwrap_or_default());
            Ok(())
        }))
    } else if call.callback_id.is_some() {
        // Has its own time limit.
        Work::Later(Box::pin(async move { sent.ask(options).await }))
    } else {
        Work::later(call, async move {
            sent.emit().await?;
            Ok(OK)
        })
    }
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

    async fn ask(self, options: RequestOptions) -> Outcome {
        let answered = self.adapter.call(self.target, &self.event, self.payload, options).await;
        let reply = answered.map_err(|error| refusal(&self.forwarding, error))?;
        let json: Bytes = reply.payload.to_json()?;
        Ok(json)
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
    use super::*;
    use crate::routes::to_service;

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
