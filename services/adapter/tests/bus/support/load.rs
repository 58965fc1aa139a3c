//! Numbered messages to one room, one after the other, until the test has seen enough.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::RoomOptions;

use super::{Client, Server, frame, room, soon};

/// Time between two messages.
const PACE: Duration = Duration::from_millis(2);

/// A sender at work.
pub(crate) struct Load {
    enough: CancellationToken,
    sending: JoinHandle<u32>,
}

impl Load {
    /// Sends to room `1`.
    pub(crate) fn start(from: &Server) -> Self {
        let (adapter, enough) = (from.adapter.clone(), CancellationToken::new());
        let until_enough = enough.clone();
        let sending = tokio::spawn(async move {
            let (mut sent, room) = (0_u32, room("1"));
            while !until_enough.is_cancelled() {
                let text = frame(&sent.to_string());
                let sending = adapter.to_room(&room, text, RoomOptions::default());
                sending.await.expect("sent");
                sent += 1;
                sleep(PACE).await;
            }
            sent
        });
        Self { enough, sending }
    }

    /// Stops, and checks that this member of the room got every message once.
    pub(crate) async fn stop_and_check(self, member: &mut Client) {
        self.enough.cancel();
        let sent = soon("all is sent", self.sending).await.expect("no panic");
        let mut got: Vec<u32> = Vec::new();
        for _ in 0..sent {
            got.push(member.frame().await.parse().expect("a number"));
        }
        got.sort_unstable();
        assert_eq!(got, (0..sent).collect::<Vec<_>>());
        member.nothing().await;
    }
}
