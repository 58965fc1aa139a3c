//! Finds the caller of a request by its token. Without a token that counts the API tells nothing, not even whether a path exists.
//!
//! A token comes in a header and never in a cookie, so no page can act in the name of somebody who looks at it. Addresses that show
//! wrong tokens are slowed down before their tokens are looked at.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum_extra::TypedHeader;
use axum_extra::headers::Authorization;
use axum_extra::headers::authorization::Bearer;
use axum_extra::typed_header::TypedHeaderRejection;
use wsmesh_bootstrap::http::client_address;

use super::callers::Access;
use crate::audit::Audit;
use crate::problem::Problem;

/// Middleware: gives each request its [`Caller`](super::Caller).
pub(crate) async fn know(
    State((access, audit)): State<(Access, Audit)>,
    given: Result<TypedHeader<Authorization<Bearer>>, TypedHeaderRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = peer.map(|peer| client_address(peer.ip(), request.headers(), access.trusted_proxies()));
    let token = given.as_ref().ok().map(|given| given.token());
    match access.enter(token, address).await {
        Ok(mut caller) => {
            caller.address = address;
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(why) => {
            access.count(&why);
            if let Some(action) = why.action() {
                audit.stranger(action, address, why.status());
            }
            why.into_response()
        }
    }
}

/// Why there is no caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// No token was sent.
    NoToken,
    /// The token does not count.
    Wrong { reason: &'static str, detail: String },
    /// The address showed too many wrong tokens: it must wait so long.
    Slowed(Duration),
    /// Nobody can tell now whether the token counts.
    Unavailable { reason: &'static str, detail: String },
}

impl Unknown {
    /// A token that is none of those that are listed.
    pub(super) fn not_listed() -> Self {
        Self::Wrong {
            reason: "wrong",
            detail: "the token is not one of this API: its file may have changed, ask an operator for a new one"
                .to_owned(),
        }
    }

    /// The label in metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::Wrong { reason, .. } | Self::Unavailable { reason, .. } => reason,
            Self::Slowed(_) => "slowed_down",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::Wrong { .. } => StatusCode::UNAUTHORIZED,
            Self::Slowed(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What the audit calls it. None: it says nothing about the caller.
    fn action(&self) -> Option<&'static str> {
        match self {
            Self::NoToken => Some("no token"),
            Self::Wrong { .. } | Self::Slowed(_) => Some("wrong token"),
            Self::Unavailable { .. } => None,
        }
    }

    fn detail(self) -> String {
        match self {
            Self::NoToken => "send the API's token in the header authorization: Bearer TOKEN".to_owned(),
            Self::Wrong { detail, .. } | Self::Unavailable { detail, .. } => detail,
            Self::Slowed(_) => "too many wrong tokens came from your address: wait, and send the right one".to_owned(),
        }
    }
}

impl IntoResponse for Unknown {
    fn into_response(self) -> Response {
        let status = self.status();
        let extra = match &self {
            Self::NoToken => Some((
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"wsmesh\""),
            )),
            Self::Wrong { .. } => Some((
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"wsmesh\", error=\"invalid_token\""),
            )),
            Self::Slowed(wait) => Some((header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)))),
            Self::Unavailable { .. } => None,
        };
        let code = match &self {
            Self::Slowed(_) => Some("slowed-down"),
            _ => None,
        };
        let problem = Problem::new(status, self.detail());
        let problem = match code {
            Some(code) => problem.with_code(code),
            None => problem,
        };
        let mut response = problem.into_response();
        response.headers_mut().extend(extra);
        response
    }
}
