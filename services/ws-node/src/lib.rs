//! The WebSocket edge of wsmesh.
