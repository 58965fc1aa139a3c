//! A message for clients: an event with a payload, checked, and made into a frame once.

use std::collections::HashSet;

use serde_json::value::RawValue;
use wsmesh_adapter::{ClientId, Frame};
use wsmesh_protocol::frame;

use crate::problem::Problem;

/// Most clients that one command may name.
const MAX_IDS: usize = 1_000;
/// Most clients that a message to a room or to everyone may leave out: each member is compared with each of them.
const MAX_EXCEPT: usize = 100;

/// An event with a payload, any JSON value, which is sent exactly as written.
#[derive(Debug)]
pub(crate) struct Message {
    event: String,
    payload: Option<Box<RawValue>>,
}

impl Message {
    /// Checks the event's name.
    ///
    /// # Errors
    /// When it is empty.
    pub(crate) fn new(event: String, payload: Option<Box<RawValue>>) -> Result<Self, Problem> {
        if event.is_empty() {
            return Err(Problem::bad_request(
                "event is empty: name the event that clients listen to",
            ));
        }
        Ok(Self { event, payload })
    }

    /// A message that may be left out.
    ///
    /// # Errors
    /// When the event's name is empty, or there is only a payload.
    pub(crate) fn last(event: Option<String>, payload: Option<Box<RawValue>>) -> Result<Option<Self>, Problem> {
        match event {
            Some(event) => Self::new(event, payload).map(Some),
            None if payload.is_some() => Err(Problem::bad_request("there is a payload and no event: name the event")),
            None => Ok(None),
        }
    }

    /// The frame that clients get.
    pub(super) fn frame(&self) -> Frame {
        Frame::new(frame::push_raw(&self.event, self.payload()))
    }

    /// The frame that asks a client.
    pub(super) fn request(&self, id: &str) -> Frame {
        Frame::new(frame::request(&self.event, self.payload(), id))
    }

    fn payload(&self) -> &str {
        self.payload.as_deref().map_or("null", RawValue::get)
    }
}

/// Each id once, in their order.
pub(super) fn distinct(ids: Vec<ClientId>) -> Vec<ClientId> {
    let mut seen = HashSet::with_capacity(ids.len());
    ids.into_iter().filter(|id| seen.insert(id.clone())).collect()
}

/// # Errors
/// When there is no id, or there are too many.
pub(super) fn check_ids(ids: &[ClientId]) -> Result<(), Problem> {
    if (1..=MAX_IDS).contains(&ids.len()) {
        return Ok(());
    }
    Err(Problem::bad_request(format!(
        "{} ids are given: send 1 to {MAX_IDS} at once",
        ids.len()
    )))
}

/// # Errors
/// When too many clients are left out.
pub(super) fn check_except(except: &[ClientId]) -> Result<(), Problem> {
    if except.len() > MAX_EXCEPT {
        return Err(Problem::bad_request(format!(
            "except has {} ids: at most {MAX_EXCEPT} clients can be left out",
            except.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_is_named_twice_is_meant_once() {
        let id = |text: &str| ClientId::new(text).expect("an id");
        assert_eq!(distinct(vec![id("b"), id("a"), id("b")]), [id("b"), id("a")]);
        assert!(check_ids(&[]).is_err());
        assert!(check_ids(&vec![id("a"); MAX_IDS + 1]).is_err());
        assert!(check_ids(&vec![id("a"); MAX_IDS]).is_ok());
    }
}
