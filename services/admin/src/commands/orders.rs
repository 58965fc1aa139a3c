//! Orders about clients and rooms, and questions: done when the answer is there.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use wsmesh_adapter::{Adapter, ClientId, PublishError, Reach, Room};

use super::message::{check_ids, distinct};
use super::{Accepted, Answered, Attached, Done, Farewell, Message, Outcome};
use crate::access::Right;
use crate::gather::{self, Answer};
use crate::problem::Problem;

/// Longest wait for the answer of a client.
pub(crate) const LONGEST_ASK: Duration = Duration::from_secs(60);
/// Most clients whose contexts are told at once: a context may be some kilobytes.
const MAX_CONTEXTS: usize = 100;

/// Asks a client and waits for its answer.
pub(crate) async fn ask(
    adapter: &Adapter,
    client: &ClientId,
    question: &Message,
    timeout_ms: Option<u64>,
) -> Result<Outcome, Problem> {
    let limit = timeout_ms.map(Duration::from_millis);
    if limit.is_some_and(|limit| limit.is_zero() || limit > LONGEST_ASK) {
        return Err(Problem::bad_request(format!(
            "timeoutMs must be 1 to {}",
            LONGEST_ASK.as_millis()
        )));
    }
    let answer = adapter.ask_client(client, |id| question.request(id), limit).await?;
    let json = answer.to_json().ok();
    let answer = json.and_then(|json| serde_json::from_slice::<Box<RawValue>>(&json).ok());
    let answer = answer.ok_or_else(|| Problem::unreadable_answer(client))?;
    Ok(Outcome::Answered(Answered { answer }))
}

/// Puts a client in a room.
pub(crate) async fn join(adapter: &Adapter, client: &ClientId, room: &Room) -> Result<Outcome, Problem> {
    done(client, adapter.join_client(client, room).await?)
}

/// Takes a client out of a room.
pub(crate) async fn leave(adapter: &Adapter, client: &ClientId, room: &Room) -> Result<Outcome, Problem> {
    done(client, adapter.leave_client(client, room).await?)
}

/// Closes the connections of a client.
pub(crate) async fn disconnect(adapter: &Adapter, client: &ClientId, farewell: Farewell) -> Result<Outcome, Problem> {
    done(client, adapter.kick_with(client, farewell.dismissal()?).await?)
}

fn done(client: &ClientId, was_connected: bool) -> Result<Outcome, Problem> {
    match was_connected {
        true => Ok(Outcome::Done(Done { done: true })),
        false => Err(Problem::offline(client)),
    }
}

/// Replaces what is attached to a client; null removes it.
pub(crate) async fn set_data(adapter: &Adapter, client: &ClientId, data: &RawValue) -> Result<Outcome, Problem> {
    done(client, adapter.set_client_data(client, Some(data)).await?)
}

/// What is attached to a client: to its newest connection, if it has several.
pub(crate) async fn data(adapter: &Adapter, client: &ClientId) -> Result<Outcome, Problem> {
    let newest = adapter.client(client).await?.into_iter().next();
    let context = newest.ok_or_else(|| Problem::offline(client))?;
    Ok(Outcome::Attached(Attached { data: context.data }))
}

/// What to tell about clients. contexts: what is known about their connections, too, for at most 100 clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Detail {
    /// Where they are, and since when.
    #[default]
    Whereabouts,
    /// What is known about their connections, too.
    Contexts,
}

impl Detail {
    /// What a caller needs to be told that.
    pub(crate) fn right(self) -> Right {
        match self {
            Self::Whereabouts => Right::Read,
            Self::Contexts => Right::Publish,
        }
    }
}

/// Which of these clients are connected, where, and since when.
pub(crate) async fn query(adapter: &Adapter, ids: Vec<ClientId>, detail: Detail) -> Result<Outcome, Problem> {
    check_ids(&ids)?;
    if detail == Detail::Contexts && ids.len() > MAX_CONTEXTS {
        return Err(Problem::bad_request(format!(
            "{} ids are given: ask for the contexts of at most {MAX_CONTEXTS} clients at once",
            ids.len()
        )));
    }
    let ids = distinct(ids);
    let gathered = match detail {
        Detail::Whereabouts => adapter.cluster_clients(&ids).await,
        Detail::Contexts => adapter.cluster_contexts(&ids).await,
    };
    let view = gather::clients(ids, &gathered);
    Ok(Outcome::Found(Answer::new(Timestamp::now(), &gathered, view)))
}

/// Takes every client out of a room, after a last message to them if one is given.
pub(crate) async fn close_room(adapter: &Adapter, room: &Room, last: Option<&Message>) -> Result<Outcome, Problem> {
    if let Some(message) = last {
        adapter.reach_room(room, message.frame(), Vec::new()).await?;
    }
    let removed = adapter.remove_room(room).await;
    let servers = match removed.map_err(|error| not_closed(error, last))? {
        Reach::Servers(servers) => Some(servers),
        Reach::Later => None,
    };
    Ok(Outcome::Accepted(Accepted::at(servers)))
}

/// Why a room was not closed. If there was a last message, the members have got it, and would get it again.
fn not_closed(error: PublishError, last: Option<&Message>) -> Problem {
    match last {
        Some(_) => Problem::from(error).begun(),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_that_was_not_closed_after_its_last_message_is_not_untouched() {
        let last = Message::new("closed".to_owned(), None).expect("a message");
        assert!(!not_closed(PublishError::NoRoom, Some(&last)).is_untouched());
        assert!(not_closed(PublishError::NoRoom, None).is_untouched());
    }
}
