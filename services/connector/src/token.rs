//! Tokens: where they come from and how they travel.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::ConnectionError;

/// Why there is no token.
pub(crate) type Cause = Arc<dyn Error + Send + Sync>;

type Asking = Pin<Box<dyn Future<Output = Result<Option<String>, Cause>> + Send>>;

/// How the token travels to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenIn {
    /// As `Authorization: Bearer TOKEN` of the upgrade request: it does not appear in logs of URLs.
    #[default]
    Header,
    /// As `token=TOKEN` in the URL's query, as browsers do.
    Query,
    /// In a request `authenticate {"token": TOKEN}` before anything else; the connection is open when the server has agreed.
    Message,
}

/// Called before each attempt.
#[derive(Clone)]
pub(crate) struct Provider(Arc<dyn Fn() -> Asking + Send + Sync>);

impl Provider {
    pub(crate) fn new<F, Fut, T, E>(ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<Option<String>>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        Self(Arc::new(move || {
            let token = ask();
            Box::pin(async move {
                match token.await {
                    Ok(token) => Ok(token.into()),
                    Err(error) => Err(Cause::from(error.into())),
                }
            })
        }))
    }

    /// A new token, if there is one.
    pub(crate) async fn token(&self) -> Result<Option<String>, Cause> {
        (self.0)().await
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}

/// The error for a token that cannot be sent.
pub(crate) fn unfit(why: &'static str) -> ConnectionError {
    ConnectionError::Token(Cause::from(Box::<dyn Error + Send + Sync>::from(why)))
}
