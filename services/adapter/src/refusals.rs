//! Errors of the adapter as refusals, so that a handler of requests may return them with `?`.
//!
//! A client learns what it can act on, and nothing about the servers.

use crate::error::{ClientError, PublishError};
use crate::wire::{NameError, PayloadError, Refusal};

const BAD_PAYLOAD: &str = "BAD_PAYLOAD";
const NOT_FOUND: &str = "NOT_FOUND";
const TOO_BIG: &str = "TOO_BIG";
const UNAVAILABLE: &str = "UNAVAILABLE";

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Self {
        Self::new(BAD_PAYLOAD, error.to_string())
    }
}

impl From<PayloadError> for Refusal {
    fn from(error: PayloadError) -> Self {
        Self::new(BAD_PAYLOAD, error.to_string())
    }
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::Name(_) | ClientError::CloseCode(_) => BAD_PAYLOAD,
            ClientError::NotHere(_) => NOT_FOUND,
            ClientError::Unconfirmed | ClientError::NoShard(_) | ClientError::ShuttingDown => UNAVAILABLE,
        };
        Self::new(code, error.to_string())
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Payload(error) => error.into(),
            PublishError::TooLarge { most, .. } => Self::new(
                TOO_BIG,
                format!("this is too large for the other servers: at most {most} bytes can be sent on"),
            ),
            error => {
                tracing::debug!(%error, "what a request needed could not be sent");
                Self::new(UNAVAILABLE, "the other servers cannot be reached now")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ClientId, Room};

    #[test]
    fn a_refusal_says_what_a_client_can_act_on_and_nothing_about_the_servers() {
        let ann = ClientId::new("ann").expect("valid");
        assert_eq!(Refusal::from(ClientError::NotHere(ann)).code, NOT_FOUND);
        assert_eq!(Refusal::from(ClientError::Unconfirmed).code, UNAVAILABLE);
        let nameless = Room::new("chat", "").expect_err("empty");
        assert_eq!(Refusal::from(nameless).code, BAD_PAYLOAD);
        let large = PublishError::TooLarge { bytes: 9, most: 7 };
        assert_eq!(Refusal::from(large).code, TOO_BIG);
        let unreachable = Refusal::from(PublishError::Isolated);
        assert_eq!(
            (&*unreachable.code, unreachable.text.contains("Redis")),
            (UNAVAILABLE, false)
        );
    }
}
