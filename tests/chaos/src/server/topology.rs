//! The verbs of the adapter that change and show the map of nodes, in the words of the harness.

use std::time::Duration;

use wsmesh_adapter::{Adapter, Options};

use crate::talk::NodeEntry;

const MISSING: &str = "this build of the adapter cannot change its nodes at run time";

pub(super) fn set_window(_options: &mut Options, _window: Duration) {}

pub(super) fn add_node(_adapter: &Adapter, _url: &str) -> Result<(), String> {
    Err(MISSING.to_owned())
}

pub(super) fn drain_node(_adapter: &Adapter, _id: &str) -> Result<(), String> {
    Err(MISSING.to_owned())
}

pub(super) fn nodes(_adapter: &Adapter) -> Vec<NodeEntry> {
    Vec::new()
}

/// Tells the harness of every lapse that the adapter reports.
pub(super) async fn tell_lapses(_adapter: Adapter) {}
