//! Client SDK: events, requests, heartbeat and reconnecting over one WebSocket.
