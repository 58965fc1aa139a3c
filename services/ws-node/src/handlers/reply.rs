//! What a handler of an event may return: the reply to the client, or a refusal.

use bytes::Bytes;
use serde::Serialize;
use wsmesh_adapter::Refusal;
use wsmesh_protocol::ErrorCode;

/// The result of a handler. A value is the reply's payload; `()` is the reply `{"ok":true}`; a [`Refusal`] is the reply
/// `{"error": TEXT, "errorCode": CODE}`. A client that sent an event without wanting a reply gets nothing.
pub trait IntoReply {
    /// The payload as JSON.
    ///
    /// # Errors
    /// The refusal.
    fn into_reply(self) -> Result<Bytes, Refusal>;
}

impl IntoReply for () {
    fn into_reply(self) -> Result<Bytes, Refusal> {
        Ok(Bytes::from_static(br#"{"ok":true}"#))
    }
}

impl<T: Serialize> IntoReply for Result<T, Refusal> {
    fn into_reply(self) -> Result<Bytes, Refusal> {
        let json = serde_json::to_vec(&self?).map_err(|error| {
            tracing::error!(%error, "a handler's reply cannot be written as JSON: correct the handler");
            Refusal::new(ErrorCode::Internal.as_str(), "the reply cannot be written")
        })?;
        Ok(json.into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn nothing_is_ok_a_value_is_json_and_a_refusal_stays_one() {
        assert_eq!(().into_reply().as_deref(), Ok(&br#"{"ok":true}"#[..]));
        assert_eq!(Ok([1, 2]).into_reply().as_deref(), Ok(&b"[1,2]"[..]));
        let refusal = Refusal::new("SOLD_OUT", "there is none left");
        assert_eq!(Err::<(), _>(refusal.clone()).into_reply(), Err(refusal));
        let no_json = BTreeMap::from([([1, 2], 3)]);
        assert_eq!(Ok(no_json).into_reply().expect_err("no JSON").code, "INTERNAL");
    }
}
