//! The bytes on the socket: the upgrade, frames in both directions, and the text of a measured message.

pub mod client_frame;
pub mod handshake;
pub mod message;
pub mod reply;
pub mod server_frame;
