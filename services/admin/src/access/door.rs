//! Finds the caller of a request by its token. Without a token that counts the API tells nothing, not even whether a path exists.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum_extra::TypedHeader;
use axum_extra::headers::Authorization;
use axum_extra::headers::authorization::Bearer;
use axum_extra::typed_header::TypedHeaderRejection;
use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::role::Role;
use super::token::Token;
use crate::problem::Problem;

/// Who may use the API. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Access(Arc<Option<Token>>);

impl Access {
    /// Everyone who reaches the port (demo profile only).
    pub(crate) fn open() -> Self {
        Self(Arc::new(None))
    }

    /// Whoever has this token, as an operator.
    pub(crate) fn of_token(token: Token) -> Self {
        Self(Arc::new(Some(token)))
    }

    /// Whether no token is needed.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// The caller with this token.
    fn find(&self, given: &str) -> Option<Caller> {
        let token = self.0.as_ref().as_ref()?;
        let caller = || Caller::new("token".to_owned(), Role::Operator, CancellationToken::new());
        token.matches(given).then(caller)
    }
}

/// Middleware: gives each request its [`Caller`].
pub(crate) async fn know(
    State(access): State<Access>,
    given: Result<TypedHeader<Authorization<Bearer>>, TypedHeaderRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let found = match given {
        _ if access.is_open() => Ok(Caller::demo()),
        Ok(given) => access.find(given.token()).ok_or(WRONG),
        Err(_) => Err(NONE),
    };
    match found {
        Ok(mut caller) => {
            let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
            caller.address = peer.map(|peer| peer.ip().to_canonical());
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(why) => why.into_response(),
    }
}

/// Why there is no caller.
#[derive(Debug, Clone, Copy)]
struct Unknown {
    challenge: &'static str,
    detail: &'static str,
}

const NONE: Unknown = Unknown {
    challenge: "Bearer realm=\"wsmesh\"",
    detail: "send the API's token in the header authorization: Bearer TOKEN",
};

const WRONG: Unknown = Unknown {
    challenge: "Bearer realm=\"wsmesh\", error=\"invalid_token\"",
    detail: "the token is not the one of this API",
};

impl IntoResponse for Unknown {
    fn into_response(self) -> Response {
        let mut response = Problem::new(StatusCode::UNAUTHORIZED, self.detail).into_response();
        let challenge = HeaderValue::from_static(self.challenge);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        response
    }
}
