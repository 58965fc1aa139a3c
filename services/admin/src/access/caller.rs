//! Who sent a request: a name, a role and an address. Every request to the API carries its caller, also where no token is needed.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::role::{Right, Role};
use crate::problem::Problem;

/// The code of the problem of a caller whose role is not enough.
pub(crate) const WRONG_ROLE: &str = "role";

/// Who sent a request. An extractor: handlers take it as an argument.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The name that belongs to its token.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Where the request came from; behind trusted proxies, the address that they name.
    pub(crate) address: Option<IpAddr>,
    clients: bool,
    /// Cancelled when its token is taken away.
    revoked: CancellationToken,
    /// When its token expires.
    until: Option<Instant>,
}

impl Caller {
    /// A caller whose token counts until `revoked`.
    pub(super) fn new(name: String, role: Role, revoked: CancellationToken) -> Self {
        Self {
            name,
            role,
            address: None,
            clients: false,
            revoked,
            until: None,
        }
    }

    /// May change clients and their rooms, too.
    pub(super) fn with_clients(self, clients: bool) -> Self {
        Self { clients, ..self }
    }

    /// Its token expires then.
    pub(super) fn until(self, until: Option<Instant>) -> Self {
        Self { until, ..self }
    }

    /// Everyone, while the API is open.
    pub(crate) fn demo() -> Self {
        Self::new("demo".to_owned(), Role::Operator, CancellationToken::new())
    }

    /// The same under another name.
    #[cfg(test)]
    pub(crate) fn called(self, name: &str) -> Self {
        let name = name.to_owned();
        Self { name, ..self }
    }

    /// Whether it has a right.
    pub(crate) fn has(&self, right: Right) -> bool {
        right.is_of(self.role, self.clients)
    }

    /// Asks for a right.
    ///
    /// # Errors
    /// A problem that names the role needed and the role that the caller has.
    pub(crate) fn need(&self, right: Right) -> Result<(), Problem> {
        if self.has(right) {
            return Ok(());
        }
        let detail = format!(
            "this needs the role {}, and {} has the role {}: use a token with the role needed",
            right.holders(),
            self.name,
            self.role
        );
        Err(Problem::new(StatusCode::FORBIDDEN, detail).with_code(WRONG_ROLE))
    }

    /// Resolves when its token no longer counts: it was taken away, or has expired. What is sent to a caller for longer than one
    /// answer, such as a stream of events, ends then.
    pub(crate) async fn ended(&self) {
        let expired = async {
            match self.until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.revoked.cancelled() => {}
            () = expired => {}
        }
    }
}

/// Whether a name from elsewhere may be a caller's: it goes into records and logs, so it is one short line.
pub(super) fn is_short_line(name: &str, max_chars: usize) -> bool {
    (1..=max_chars).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // The door lets no request through without one.
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "it is not known who sends this request"))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role) -> Caller {
        Caller::new("ci".to_owned(), role, CancellationToken::new())
    }

    #[test]
    fn a_caller_without_a_right_is_told_the_role_needed_and_its_own() {
        let problem = caller(Role::Viewer).need(Right::Operate).expect_err("refused");
        assert_eq!(problem.status(), StatusCode::FORBIDDEN);
        assert!(
            problem.detail().contains("operator") && problem.detail().contains("ci has the role viewer"),
            "{}",
            problem.detail()
        );
        let problem = caller(Role::Publisher).need(Right::Clients).expect_err("refused");
        assert!(problem.detail().contains("clients = true"), "{}", problem.detail());
        assert_eq!(caller(Role::Publisher).with_clients(true).need(Right::Clients), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_ends_with_its_token() {
        let revoked = CancellationToken::new();
        let stays = Caller::new("ci".to_owned(), Role::Viewer, revoked.clone());
        let hour = std::time::Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, stays.ended()).await.is_err());
        revoked.cancel();
        stays.ended().await;
        let mut expires = caller(Role::Viewer);
        expires.until = Some(Instant::now() + hour);
        assert!(tokio::time::timeout(hour / 2, expires.ended()).await.is_err());
        expires.ended().await;
    }
}
