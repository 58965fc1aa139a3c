//! Rules: events that are forwarded to a service, whose reply goes back to the client.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use wsmesh_adapter::{
    Adapter, ClientId, Missing, Payload, PayloadError, Pick, PublishError, RequestError, RequestOptions, Target,
    TargetError,
};
use wsmesh_protocol::ErrorCode;
use wsmesh_protocol::forward::Forwarded;

use super::settings::{PickBy, ReplyBy, Rule};
use super::{Call, OK, Outcome, Refusal, Work};

impl PickBy {
    fn pick(self, client: &ClientId) -> Pick {
        match self {
            Self::LeastBusy => Pick::LeastBusy,
            Self::Client => Pick::Key(client.to_string()),
        }
    }
}

/// How often a rule is logged whose events no server handles.
const UNSERVED_EVERY: Duration = Duration::from_secs(30);

/// A rule at work.
#[derive(Debug)]
pub(crate) struct Forwarding {
    rule: Rule,
    unserved: Mutex<Unserved>,
}

/// Events that no server handled.
#[derive(Debug, Default)]
struct Unserved {
    /// How many since it was logged.
    events: u64,
    logged: Option<Instant>,
}

impl Unserved {
    /// Counts one more. The number of events to log, if it is time to.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.events += 1;
        let quiet = self
            .logged
            .is_some_and(|logged| now.saturating_duration_since(logged) < UNSERVED_EVERY);
        (!quiet).then(|| {
            self.logged = Some(now);
            std::mem::take(&mut self.events)
        })
    }
}

impl Forwarding {
    pub(super) fn new(rule: Rule) -> Self {
        Self {
            rule,
            unserved: Mutex::default(),
        }
    }

    /// What the client is told; what is wrong with the cluster or with this rule is logged, too, but not for each event.
    fn refusal(&self, error: RequestError) -> Refusal {
        let Rule { event, service, .. } = &self.rule;
        let (why, refusal) = match &error {
            RequestError::Publish(PublishError::Target(TargetError::NoServer(_))) => (
                "no server of this service is there: start one, or correct the rule",
                Refusal::new(
                    ErrorCode::Unavailable,
                    format!(
                        "no server of the service {:?} is there now: try again later",
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
        let counted = self
            .unserved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .count(Instant::now());
        if let Some(events) = counted {
            tracing::warn!(event, %service, events, "a rule forwards events in vain: {why}");
        }
        refusal
    }
}

/// Forwards an event. A request waits for the reply; anything else is sent and forgotten.
pub(super) fn forward(forwarding: &Arc<Forwarding>, call: Call<'_>) -> Work {
    let rule = &forwarding.rule;
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
    let (adapter, forwarding) = (edge.adapter.clone(), Arc::clone(forwarding));
    if forwarded.callback_id.is_some() {
        let session = call.session.clone();
        Work::Handed(Box::pin(async move {
            forwarding.emit(&adapter, target, payload).await?;
            session.link.expect_reply(timeout);
            Ok(())
        }))
    } else if call.callback_id.is_some() {
        // Has its own time limit.
        Work::Later(Box::pin(async move {
            forwarding.ask(&adapter, target, payload, timeout).await
        }))
    } else {
        Work::later(call, async move {
            forwarding.emit(&adapter, target, payload).await?;
            Ok(OK)
        })
    }
}

impl Forwarding {
    async fn emit(&self, adapter: &Adapter, target: Target, payload: Payload) -> Result<(), Refusal> {
        let sent = adapter.emit(target, &self.rule.event, payload).await;
        sent.map_err(|error| self.refusal(error.into()))
    }

    async fn ask(&self, adapter: &Adapter, target: Target, payload: Payload, timeout: Duration) -> Outcome {
        let options = RequestOptions {
            timeout: Some(timeout),
            ..RequestOptions::default()
        };
        let asked = adapter.call(target, &self.rule.event, payload, options).await;
        let reply = asked.map_err(|error| self.refusal(error))?;
        let json: Bytes = reply.payload.to_json()?;
        Ok(json)
    }
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
    use wsmesh_adapter::ServiceName;

    use super::*;

    #[test]
    fn events_that_nobody_takes_are_logged_by_the_first_and_then_by_their_number_every_half_minute() {
        let (mut unserved, start) = (Unserved::default(), Instant::now());
        assert_eq!(unserved.count(start), Some(1));
        assert_eq!(unserved.count(start + UNSERVED_EVERY / 2), None);
        assert_eq!(unserved.count(start + UNSERVED_EVERY / 2), None);
        assert_eq!(unserved.count(start + UNSERVED_EVERY), Some(3));
        assert_eq!(unserved.count(start + UNSERVED_EVERY), None);
    }

    #[test]
    fn a_client_is_told_which_service_is_missing_and_which_does_not_handle_its_event() {
        let rule = serde_json::from_str(r#"{"event":"placeBid","service":"auction"}"#).expect("good");
        let forwarding = Forwarding::new(rule);
        let service = ServiceName::new("auction").expect("valid");
        let missing = forwarding.refusal(PublishError::Target(TargetError::NoServer(service)).into());
        assert_eq!(
            (missing.code, &*missing.text),
            (
                ErrorCode::Unavailable,
                r#"no server of the service "auction" is there now: try again later"#
            )
        );
        let unhandled = forwarding.refusal(RequestError::Missing {
            server: wsmesh_adapter::ServerName::new("auction-7").expect("valid"),
            why: Missing::Unhandled,
        });
        assert_eq!(unhandled.code, ErrorCode::UnknownEvent);
        assert!(
            unhandled.text.contains(r#""auction""#) && !unhandled.text.contains("auction-7"),
            "{}",
            unhandled.text
        );
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
