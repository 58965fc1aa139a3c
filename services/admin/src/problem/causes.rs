//! Which problem each error of the layers below becomes: its status, its code, and whether anything was done.

use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use wsmesh_adapter::{
    ClientError, ClientOrderError, ClientRequestError, DataError, NameError, PublishError, TopologyError,
};

use super::Problem;
use crate::json::in_words;

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::MissingJsonContentType(_) => Self::not_json(),
            // Wrong syntax or wrong shape: the text says where.
            JsonRejection::JsonDataError(_) | JsonRejection::JsonSyntaxError(_) => {
                let text = rejection.body_text();
                // Before it stands what failed in this program.
                let why = text.split_once(": ").map_or(text.as_str(), |(_, why)| why);
                Self::bad_request(format!("the body cannot be read: {}", in_words(why)))
            }
            other => Self::new(other.status(), other.body_text()),
        }
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Payload(_) => Self::bad_request(error.to_string()),
            PublishError::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            // The node may have taken it all the same.
            PublishError::Refused { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            _ => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).untouched(),
        }
    }
}

impl From<ClientOrderError> for Problem {
    fn from(error: ClientOrderError) -> Self {
        match error {
            ClientOrderError::Publish(error) => error.into(),
            ClientOrderError::Client(ClientError::CloseCode(_) | ClientError::Name(_)) => {
                Self::bad_request(error.to_string())
            }
            ClientOrderError::Data(DataError::TooLarge(_)) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
            }
            ClientOrderError::Data(DataError::TooDeep) => Self::bad_request(error.to_string()),
            ClientOrderError::Unknown(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).with_code("unknown")
            }
            _ => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }
}

impl From<ClientRequestError> for Problem {
    fn from(error: ClientRequestError) -> Self {
        match error {
            ClientRequestError::Offline(client) => Self::offline(&client),
            ClientRequestError::Gone(_) => Self::new(StatusCode::CONFLICT, error.to_string()).with_code("gone"),
            ClientRequestError::TimedOut(_) => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, error.to_string()).with_code("no-answer")
            }
            ClientRequestError::Publish(error) => error.into(),
        }
    }
}

impl From<TopologyError> for Problem {
    fn from(error: TopologyError) -> Self {
        let status = match error {
            TopologyError::Url(_) | TopologyError::Embedded(_) | TopologyError::Credentials | TopologyError::Files => {
                StatusCode::BAD_REQUEST
            }
            TopologyError::Unknown(_) => StatusCode::NOT_FOUND,
            TopologyError::Alone
            | TopologyError::LastNode(_)
            | TopologyError::Elsewhere { .. }
            | TopologyError::TooMany(_) => StatusCode::CONFLICT,
        };
        Self::new(status, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_too_large_is_an_error_of_the_caller() {
        let problem = Problem::from(PublishError::TooLarge { bytes: 9, most: 8 });
        assert_eq!(problem.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
