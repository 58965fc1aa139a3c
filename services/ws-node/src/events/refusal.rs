//! Refusals: why a client's event was not handled, in the client's terms.

use std::borrow::Cow;

use wsmesh_adapter::{ClientError, Missing, NameError, PayloadError, PublishError, RequestError};
use wsmesh_protocol::ErrorCode;

/// The error that a client's request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    /// The code of an application, which the client gets instead.
    own_code: Option<Box<str>>,
    pub(crate) text: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            own_code: None,
            text: text.into(),
        }
    }

    /// With a code of the application instead of ours.
    pub(crate) fn with_own_code(self, code: String) -> Self {
        Self {
            own_code: Some(code.into()),
            ..self
        }
    }

    /// The code that the client gets.
    pub(crate) fn written_code(&self) -> &str {
        self.own_code.as_deref().unwrap_or(self.code.as_str())
    }
}

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Self {
        Self::new(ErrorCode::BadPayload, error.to_string())
    }
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::Name(_) => ErrorCode::BadPayload,
            ClientError::NotHere(_) => ErrorCode::NotFound,
            _ => ErrorCode::Unavailable,
        };
        Self::new(code, error.to_string())
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
    use super::*;

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

    #[test]
    fn a_client_that_is_not_here_is_told_apart_from_what_is_not_confirmed() {
        let client = wsmesh_adapter::ClientId::new("ann").expect("valid");
        let refusal = Refusal::from(ClientError::NotHere(client));
        assert_eq!(refusal.code, ErrorCode::NotFound);
        assert_eq!(refusal.text, "client ann is not connected to this server");
        assert_eq!(Refusal::from(ClientError::Unconfirmed).code, ErrorCode::Unavailable);
    }
}
