//! A clean end within the grace period: tickets go to the other servers, matches end or are stopped with a reason, and all
//! players are told.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use wsmesh_protocol::forward::CLIENT_CLOSED;

use super::messages::{Leaving, client, peer};
use super::{Shell, TAG};
use crate::rules::matches::EndReason;

/// How often to check whether everything is done.
const STEP: Duration = Duration::from_millis(50);

pub(super) async fn stop(shell: &Arc<Shell>, grace: Duration) {
    shell.tell(|lobby, _| lobby.stop());
    let leaving = Leaving {
        server: shell.adapter.name().clone(),
        instance: shell.adapter.instance(),
    };
    shell.tell_others(peer::LEAVING, &leaving).await;
    let start = Instant::now();
    let hand_over_until = start + grace / 3;
    let drain_until = start + shell.settings.drain_time.min(grace / 2);
    let mut steps = interval(STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        steps.tick().await;
        let roster = shell.adapter.roster().borrow().clone();
        shell.roster(&roster);
        shell.round();
        let (waits, successor) = {
            let lobby = shell.lobby();
            (!lobby.is_empty(), lobby.has_successor())
        };
        if waits && (!successor || Instant::now() >= hand_over_until) {
            tracing::warn!("could not hand tickets over: their players are told to ask again");
            shell.tell(|lobby, now| lobby.give_up(now));
        }
        let handed_over = !waits || !successor || Instant::now() >= hand_over_until;
        if handed_over && (shell.hosted.len() == 0 || Instant::now() >= drain_until) {
            break;
        }
    }
    shell.hosted.stop_all(shell, EndReason::ServerRestart);
    shell.tasks.close();
    if timeout(grace / 3, shell.tasks.wait()).await.is_err() {
        tracing::warn!(
            tasks = shell.tasks.len(),
            "some tasks were not finished in time; allow more time with --shutdown-grace"
        );
    }
    remove_listeners(shell);
}

/// Removes the listeners, and with them their references to the shell.
fn remove_listeners(shell: &Shell) {
    let clients = [
        client::PING,
        client::REQUEST,
        client::CANCEL,
        client::INPUT,
        client::LEAVE,
        CLIENT_CLOSED,
    ];
    let peers = [
        peer::REQUEST,
        peer::CANCEL,
        peer::RESERVE,
        peer::RELEASE,
        peer::START,
        peer::WITHDRAW,
        peer::ADOPT,
        peer::BEGAN,
        peer::ENDED,
        peer::LEFT,
        peer::LEAVING,
    ];
    for event in clients.into_iter().chain(peers) {
        shell.adapter.off_tag(event, TAG);
    }
}
