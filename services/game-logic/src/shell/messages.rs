//! Events and payloads: what clients send and get through their ws-nodes, and what lobbies send to each other.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wsmesh_adapter::{ClientId, Instance, Payload, ServerEvent, ServerName, recorded};
use wsmesh_protocol::ErrorCode;
use wsmesh_protocol::forward::Forwarded;

use super::asked::Origins;
use crate::rules::lobby::{Order, Refusal, Wish};
use crate::rules::matches::MatchId;
use crate::rules::matchmaking::Party;
use crate::rules::players::{Busy, FormationId, Player};

/// The namespace of the rooms of matches.
pub(crate) const NAMESPACE: &str = "match";

/// Events that clients send.
pub(crate) mod client {
    pub(crate) const PING: &str = "gamePing";
    pub(crate) const REQUEST: &str = "matchRequest";
    pub(crate) const CANCEL: &str = "matchCancel";
    pub(crate) const INPUT: &str = "matchInput";
    pub(crate) const LEAVE: &str = "matchLeave";
}

/// Events that clients get.
pub(crate) mod push {
    pub(crate) const FOUND: &str = "matchFound";
    pub(crate) const STATE: &str = "matchState";
    pub(crate) const END: &str = "matchEnd";
    pub(crate) const CANCELLED: &str = "matchCancelled";
}

/// Events between game-logic servers.
pub(crate) mod peer {
    pub(crate) const REQUEST: &str = "wsmesh.gameRequest";
    pub(crate) const CANCEL: &str = "wsmesh.gameCancel";
    pub(crate) const RESERVE: &str = "wsmesh.gameReserve";
    pub(crate) const RELEASE: &str = "wsmesh.gameRelease";
    pub(crate) const START: &str = "wsmesh.gameStart";
    pub(crate) const WITHDRAW: &str = "wsmesh.gameWithdraw";
    pub(crate) const ADOPT: &str = "wsmesh.gameAdopt";
    pub(crate) const BEGAN: &str = "wsmesh.gameBegan";
    pub(crate) const ENDED: &str = "wsmesh.gameEnded";
    pub(crate) const LEFT: &str = "wsmesh.gameLeft";
    pub(crate) const LEAVING: &str = "wsmesh.gameLeaving";
}

/// An error, as the client sees it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    pub(crate) error: String,
    pub(crate) error_code: ErrorCode,
}

impl Failure {
    pub(crate) fn new(error_code: ErrorCode, error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            error_code,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::UnknownMode { .. } | Refusal::BadParty { .. } => ErrorCode::BadPayload,
            Refusal::Playing(_) => ErrorCode::NotAllowed,
            Refusal::Full(_) => ErrorCode::Overloaded,
            Refusal::Stopping => ErrorCode::Unavailable,
        };
        Self::new(code, refusal.to_string())
    }
}

/// Reads a payload of any encoding.
pub(crate) fn read<T: DeserializeOwned>(payload: &Payload) -> Result<T, Failure> {
    let json = payload
        .to_json()
        .map_err(|error| Failure::new(ErrorCode::BadPayload, error.to_string()))?;
    serde_json::from_slice(&json).map_err(|error| Failure::new(ErrorCode::BadPayload, error.to_string()))
}

/// Writes a payload. Everything that this service writes can be JSON, so a failure is only logged.
pub(crate) fn write<T: Serialize>(value: &T) -> Payload {
    Payload::new(value).unwrap_or_else(|error| {
        tracing::error!("cannot write a payload: this is a bug: {error}");
        Payload::null()
    })
}

/// A client's event, as a ws-node forwards it.
#[derive(Debug)]
pub(crate) struct FromClient {
    pub(crate) player: Player,
    payload: String,
}

impl FromClient {
    pub(crate) fn read(payload: &Payload) -> Result<Self, Failure> {
        let forwarded: Forwarded = read(payload)?;
        let name = |error: wsmesh_adapter::NameError| Failure::new(ErrorCode::BadPayload, error.to_string());
        let client = ClientId::new(&forwarded.client).map_err(name)?;
        let server = ServerName::new(&forwarded.server).map_err(name)?;
        Ok(Self {
            player: Player { client, server },
            payload: forwarded.payload.get().to_owned(),
        })
    }

    /// The client's payload; `null` means the default.
    fn parse<T: DeserializeOwned + Default>(&self) -> Result<T, Failure> {
        let parsed: Result<Option<T>, _> = serde_json::from_str(&self.payload);
        match parsed {
            Ok(value) => Ok(value.unwrap_or_default()),
            Err(error) => Err(Failure::new(ErrorCode::BadPayload, error.to_string())),
        }
    }

    pub(crate) fn wish(&self) -> Result<Wish, Failure> {
        let request: MatchRequest = self.parse()?;
        let rating = request.rating.unwrap_or(DEFAULT_RATING);
        if !rating.is_finite() || rating.abs() > LARGEST_RATING {
            let text = format!("rating must be a number from -{LARGEST_RATING} to {LARGEST_RATING}");
            return Err(Failure::new(ErrorCode::BadPayload, text));
        }
        Ok(Wish {
            mode: request.mode,
            rating: rating.round() as i32,
            party: request.party,
        })
    }

    pub(crate) fn mode(&self) -> Result<Option<String>, Failure> {
        self.parse::<MatchCancel>().map(|cancel| cancel.mode)
    }

    /// The match that the client named, if any, and the rest of its payload.
    pub(crate) fn match_and_rest(&self) -> Result<(Option<MatchId>, Map<String, Value>), Failure> {
        let mut rest: Map<String, Value> = self.parse()?;
        let id = rest
            .remove("match")
            .filter(|id| !id.is_null())
            .map(serde_json::from_value)
            .transpose();
        let id = id.map_err(|_| {
            Failure::new(
                ErrorCode::BadPayload,
                "match must be the text that came with matchFound",
            )
        })?;
        Ok((id, rest))
    }
}

/// The rating of a player that sends none.
const DEFAULT_RATING: f64 = 1_000.0;
const LARGEST_RATING: f64 = 1_000_000.0;

#[derive(Debug, Default, Deserialize)]
struct MatchRequest {
    mode: Option<String>,
    rating: Option<f64>,
    party: Option<Party>,
}

#[derive(Debug, Default, Deserialize)]
struct MatchCancel {
    mode: Option<String>,
}

/// Pushed with `matchFound`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Found<'a> {
    #[serde(rename = "match")]
    pub(crate) id: &'a MatchId,
    pub(crate) room: FoundRoom<'a>,
    pub(crate) players: Vec<&'a ClientId>,
    pub(crate) mode: &'a str,
    pub(crate) tick_rate: u32,
}

#[derive(Debug, Serialize)]
pub(crate) struct FoundRoom<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) id: &'a str,
}

/// Answer to `matchCancel` and to its forwarded form.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct CancelledCount {
    pub(crate) cancelled: usize,
}

/// A player's `matchCancel`, forwarded to the owner of a queue.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CancelOrder {
    pub(crate) player: Player,
    pub(crate) mode: Option<String>,
}

/// Answer to a reservation.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct BusyList {
    pub(crate) busy: Vec<Busy>,
}

/// News of a formation: it is released or withdrawn.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FormationNews {
    pub(crate) formation: FormationId,
}

/// News of a match: it ended, or a player left it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MatchNews {
    #[serde(rename = "match")]
    pub(crate) id: MatchId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<ClientId>,
}

/// News of a server: it is stopping.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Leaving {
    pub(crate) server: ServerName,
    pub(crate) instance: Instance,
}

/// A request to run a match, with the traces of its players' requests, in their order. The rules know only the order.
#[derive(Debug, Serialize)]
pub(crate) struct TracedOrder<'a> {
    #[serde(flatten)]
    pub(crate) order: &'a Order,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) traces: Vec<Option<String>>,
}

#[derive(Debug, Default, Deserialize)]
struct Traces {
    #[serde(default)]
    traces: Vec<Option<String>>,
}

/// The traces that came with a request to run a match.
pub(super) fn origins(event: &ServerEvent) -> Origins {
    if recorded(&event.span).is_none() {
        return Origins::default();
    }
    Origins::read(&read::<Traces>(&event.payload).unwrap_or_default().traces)
}
