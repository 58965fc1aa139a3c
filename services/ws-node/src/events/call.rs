//! One event of one client, as its handlers get it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use wsmesh_adapter::Frame;
use wsmesh_protocol::{CallbackId, ErrorCode, frame};

use super::refusal::Refusal;
use crate::client::Session;
use crate::edge::Edge;

/// The reply `{"ok":true}`.
pub(super) const OK: Bytes = Bytes::from_static(br#"{"ok":true}"#);

/// One event of one client.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) session: &'a Session,
    pub(crate) payload: &'a RawValue,
    /// The id that its reply must carry, if it wants one.
    pub(crate) callback_id: Option<&'a CallbackId<'a>>,
}

impl<'a> Call<'a> {
    pub(super) fn edge(&self) -> &'a Arc<Edge> {
        &self.session.handler().edge
    }

    /// Answers with an error, if the client wants a reply.
    pub(super) fn refuse(&self, code: ErrorCode, text: &'static str) {
        if let Some(callback_id) = self.callback_id {
            refuse(self.session, callback_id, &Refusal::new(code, text));
        }
    }
}

/// Answers a request with an error.
pub(crate) fn refuse(session: &Session, callback_id: &CallbackId<'_>, refusal: &Refusal) {
    session.handler().edge.metrics.frames.refused_requests.inc();
    session.send(Frame::new(frame::error_reply(callback_id, refusal.code, &refusal.text)));
}
