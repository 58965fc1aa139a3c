//! Why a client may not connect, in words that say what to do. No text holds a token, a ticket or a part of one.

use wsmesh_adapter::NameError;
use wsmesh_tokens::VerifyError;

/// Why a client may not connect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("say who you are: add ?id=YOUR-ID to the URL")]
    NoId,
    #[error(transparent)]
    BadId(#[from] NameError),
    #[error(
        "a token is needed: add ?token=JWT or ?ticket=TICKET to the URL, or send the header Authorization: Bearer JWT"
    )]
    NoToken,
    #[error(transparent)]
    Token(#[from] VerifyError),
    #[error("this token is for another client id: reconnect with it")]
    OtherClient,
    #[error("the ticket is not valid here: get a new one")]
    BadTicket,
    #[error("the ticket has expired: get a new one")]
    ExpiredTicket,
    #[error("the ticket was used already, or is not known any more: a ticket opens one connection, get a new one")]
    UsedTicket,
    #[error("the server that issued the ticket cannot be asked any more: get a new one")]
    LostTicket,
    #[error("tickets are not used here: connect with a token")]
    NoTickets,
    #[error("pages of this origin may not connect here")]
    Origin,
    #[error("too many connections wait to authenticate: try again")]
    TooManyWaiting,
}

/// What is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// How the client names itself.
    Request,
    /// The credential, or that there is none.
    Credential,
    /// The page that it comes from.
    Origin,
    /// This server, which cannot tell now.
    Server,
}

impl AuthError {
    /// A token or a ticket lacks something, or has something that cannot be used.
    pub(crate) fn bad_claims(lacks: impl Into<String>) -> Self {
        VerifyError::BadClaims(lacks.into()).into()
    }

    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::NoId | Self::BadId(_) => Fault::Request,
            Self::Origin => Fault::Origin,
            Self::Token(VerifyError::NoKeysYet) | Self::TooManyWaiting => Fault::Server,
            _ => Fault::Credential,
        }
    }

    /// The label in metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::NoId => "no_id",
            Self::BadId(_) => "bad_id",
            Self::NoToken => "no_token",
            Self::Token(error) => error.reason(),
            Self::OtherClient => "other_client",
            Self::BadTicket | Self::NoTickets => "bad_ticket",
            Self::ExpiredTicket => "expired_ticket",
            Self::UsedTicket => "used_ticket",
            Self::LostTicket => "lost_ticket",
            Self::Origin => "origin",
            Self::TooManyWaiting => "too_many_waiting",
        }
    }
}
