//! Rules: events that are forwarded to a service, whose reply goes back to the client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wsmesh_adapter::{
    Adapter, ClientId, Missing, Payload, PayloadError, Pick, PublishError, RequestError, RequestOptions, ServiceName,
    Target,
};
use wsmesh_protocol::ErrorCode;
use wsmesh_protocol::forward::Forwarded;

use super::{Call, OK, Outcome, Refusal, Work};

/// Forwards one event of clients to one server of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The client's event; the server event has the same name.
    pub event: String,
    /// Who handles it.
    pub service: ServiceName,
    /// Which server of the service. Default `least-busy`.
    #[serde(default)]
    pub pick: PickBy,
    /// Who sends a request's reply to the client. Default `relay`.
    #[serde(default)]
    pub reply: ReplyBy,
    /// Longest wait for a reply, in milliseconds; for one that the service sends by itself, how long a drain waits for it at
    /// most. Default: the setting `request_timeout`. A longer one needs clients that wait longer: theirs is 5 s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// How a rule picks one server of its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PickBy {
    /// The one with the fewest clients in its last beacon; equals in turn.
    #[default]
    LeastBusy,
    /// The same server for all of a client's events, while the servers stay.
    Client,
}

/// Who sends a request's reply to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplyBy {
    /// The service replies to this ws-node, which passes the reply on; a service that does not reply in time is an error.
    #[default]
    Relay,
    /// The service gets the client's callback id and replies to the client itself, when it wants. If it never does, the
    /// client's own time limit ends the request.
    Direct,
}

impl PickBy {
    fn pick(self, client: &ClientId) -> Pick {
        match self {
            Self::LeastBusy => Pick::LeastBusy,
            Self::Client => Pick::Key(client.to_string()),
        }
    }
}

/// The rules of the demo profile: the game that game-logic runs. A player's queue and match are found by the player.
pub(crate) fn demo_rules() -> Vec<Rule> {
    const GAME: [(&str, PickBy); 5] = [
        ("gamePing", PickBy::LeastBusy),
        ("matchRequest", PickBy::Client),
        ("matchCancel", PickBy::Client),
        ("matchInput", PickBy::Client),
        ("matchLeave", PickBy::Client),
    ];
    // The name is valid, so there is always one.
    let service = ServiceName::new("game-logic").into_iter();
    let rules = service.flat_map(|service| GAME.map(|(event, pick)| (event, pick, service.clone())));
    rules
        .map(|(event, pick, service)| Rule {
            event: event.to_owned(),
            service,
            pick,
            reply: ReplyBy::Relay,
            timeout_ms: None,
        })
        .collect()
}

/// Forwards an event. A request waits for the reply; anything else is sent and forgotten.
pub(super) fn forward(rule: &Arc<Rule>, call: Call<'_>) -> Work {
    let edge = call.session.edge();
    let client = &call.session.link.client;
    let forwarded = Forwarded {
        client: client.to_string(),
        server: edge.adapter.name().to_string(),
        event: rule.event.clone(),
        payload: call.payload.to_owned(),
        callback_id: call
            .callback_id
            .filter(|_| rule.reply == ReplyBy::Direct)
            .map(|id| id.clone().into_owned()),
    };
    let payload = match Payload::new(&forwarded) {
        Ok(payload) => payload,
        Err(error) => return Work::Done(Err(error.into())),
    };
    let target = Target::AnyOf(rule.service.clone(), rule.pick.pick(client));
    let timeout = rule
        .timeout_ms
        .map_or(edge.settings.request_timeout, Duration::from_millis);
    let (adapter, rule) = (edge.adapter.clone(), Arc::clone(rule));
    if forwarded.callback_id.is_some() {
        let session = call.session.clone();
        Work::Handed(Box::pin(async move {
            adapter.emit(target, &rule.event, payload).await?;
            session.link.expect_reply(timeout);
            Ok(())
        }))
    } else if call.callback_id.is_some() {
        // Has its own time limit.
        Work::Later(Box::pin(async move {
            ask(&adapter, target, &rule.event, payload, timeout).await
        }))
    } else {
        Work::later(call, async move {
            adapter.emit(target, &rule.event, payload).await?;
            Ok(OK)
        })
    }
}

async fn ask(adapter: &Adapter, target: Target, event: &str, payload: Payload, timeout: Duration) -> Outcome {
    let options = RequestOptions {
        timeout: Some(timeout),
        ..RequestOptions::default()
    };
    let reply = adapter.call(target, event, payload, options).await?;
    let json: Bytes = reply.payload.to_json()?;
    Ok(json)
}

impl From<PayloadError> for Refusal {
    fn from(error: PayloadError) -> Self {
        Self::new(
            ErrorCode::BadPayload,
            format!("the payload cannot be forwarded: {error}"),
        )
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Payload(error) => error.into(),
            PublishError::TooLarge { most, .. } => {
                let text = format!("this is too large for the other servers: at most {most} bytes can be sent on");
                Self::new(ErrorCode::BadPayload, text)
            }
            PublishError::Target(_) => Self::new(ErrorCode::Unavailable, "no server can handle this now"),
            error => {
                tracing::debug!(%error, "a client's event could not be sent on");
                Self::new(ErrorCode::Unavailable, "the other servers cannot be reached now")
            }
        }
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        let why = match error {
            RequestError::Publish(error) => return error.into(),
            RequestError::Missing { why, .. } => why,
            RequestError::ShuttingDown => return Self::new(ErrorCode::Unavailable, "this server is shutting down"),
        };
        match why {
            Missing::TimedOut => Self::new(ErrorCode::Timeout, "the service did not answer in time"),
            Missing::Unhandled => Self::new(ErrorCode::UnknownEvent, "the service does not handle this event"),
            Missing::TooLarge => Self::new(ErrorCode::Internal, "the service's answer is too large to be sent"),
            Missing::Overloaded => Self::new(ErrorCode::Overloaded, "the service is overloaded; try again later"),
            Missing::Unreachable(why) => {
                tracing::debug!(why, "a client's request could not be sent on");
                Self::new(ErrorCode::Unavailable, "the other servers cannot be reached now")
            }
            _ => Self::new(ErrorCode::Unavailable, "the service went away before it answered"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_needs_an_event_and_a_service_and_nothing_unknown() {
        let rule: Rule = serde_json::from_str(r#"{"event":"a","service":"s","pick":"client"}"#).expect("good");
        assert_eq!((rule.pick, rule.timeout_ms), (PickBy::Client, None));
        assert!(serde_json::from_str::<Rule>(r#"{"event":"a"}"#).is_err());
        assert!(serde_json::from_str::<Rule>(r#"{"event":"a","service":"s","pic":"client"}"#).is_err());
        assert!(serde_json::from_str::<Rule>(r#"{"event":"a","service":"s","pick":"random"}"#).is_err());
    }

    #[test]
    fn a_failed_request_says_what_the_client_can_do() {
        let code = |why| {
            let server = wsmesh_adapter::ServerName::new("g").expect("valid");
            Refusal::from(RequestError::Missing { server, why }).code
        };
        assert_eq!(code(Missing::TimedOut), ErrorCode::Timeout);
        assert_eq!(code(Missing::Overloaded), ErrorCode::Overloaded);
        assert_eq!(code(Missing::Restarted), ErrorCode::Unavailable);
    }
}
