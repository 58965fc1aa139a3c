//! With which user and passwords a connection logs in. A refused password is followed by the one that worked before it, once.

use super::trouble;
use crate::nodes::link::{LinkError, LinkErrorKind};
use crate::nodes::password::{Attempts, Text};
use crate::nodes::url::NodeUrl;

/// A user and the passwords to try.
pub(super) struct Login {
    user: Option<String>,
    passwords: Attempts,
}

/// One attempt to log in.
pub(super) struct Attempt<'a> {
    login: &'a Login,
    password: Option<&'a Text>,
}

impl Login {
    /// As the URL says. Its password file is read now.
    pub(super) async fn of(url: &NodeUrl) -> Result<Self, LinkError> {
        let passwords = match url.password() {
            Some(password) => password.attempts().await,
            None => Ok(Attempts::of_nobody()),
        };
        Ok(Self {
            user: url.username().map(str::to_owned),
            passwords: passwords.map_err(|problem| LinkError::new(LinkErrorKind::Auth, problem))?,
        })
    }

    /// What to try, one after the other. Empty if no login is needed.
    pub(super) fn attempts(&self) -> impl Iterator<Item = Attempt<'_>> {
        let with_password = self.passwords.iter().map(Some);
        let is_without = self.passwords.iter().next().is_none() && self.user.is_some();
        let passwords = with_password.chain(is_without.then_some(None));
        passwords.map(|password| Attempt { login: self, password })
    }
}

impl<'a> Attempt<'a> {
    pub(super) fn user(&self) -> Option<&'a str> {
        self.login.user.as_deref()
    }

    /// AUTH requires a password, but Redis accepts any password for a user that needs none.
    pub(super) fn password(&self) -> &'a str {
        self.password.map_or("", |password| password)
    }

    /// Redis accepted it.
    pub(super) fn worked(&self) {
        if let Some(password) = self.password {
            self.login.passwords.note(password);
        }
    }

    /// What to do about a refusal.
    pub(super) fn explained(&self, address: &str, error: LinkError) -> LinkError {
        match self.password {
            None if error.kind == LinkErrorKind::Auth => trouble::password_missing(address),
            _ => error,
        }
    }
}
