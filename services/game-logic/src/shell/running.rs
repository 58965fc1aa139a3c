//! One running match: a task that ticks the game, reads its mailbox and sends states to the room. Sending never delays a
//! tick: if the bus is slow, players get fewer states, always the latest one.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tracing::{Instrument, Span};
use wsmesh_adapter::{Frame, Room, RoomOptions};
use wsmesh_protocol::{ErrorCode, frame};

use super::Shell;
use super::hosting::Command;
use super::messages::{Failure, NAMESPACE, push};
use crate::rules::game::{Game, Setup};
use crate::rules::matches::{EndFrame, EndReason, InputError, Match, MatchId};

/// The function that runs a match; one for each game. The span is that of sending its first state.
pub(super) type Launch = fn(Arc<Shell>, MatchId, Setup, mpsc::Receiver<Command>, Span) -> BoxFuture<'static, ()>;

/// The task of a match of `G`.
pub(super) fn launch<G: Game>(
    shell: Arc<Shell>,
    id: MatchId,
    setup: Setup,
    mailbox: mpsc::Receiver<Command>,
    first_state: Span,
) -> BoxFuture<'static, ()> {
    run::<G>(shell, id, setup, mailbox, first_state).boxed()
}

async fn run<G: Game>(
    shell: Arc<Shell>,
    id: MatchId,
    setup: Setup,
    mailbox: mpsc::Receiver<Command>,
    first_state: Span,
) {
    let (show, shown) = watch::channel(None);
    // A game that panics ends only its own match.
    let playing = AssertUnwindSafe(play::<G>(&shell, &id, &setup, mailbox, show)).catch_unwind();
    let (played, ()) = tokio::join!(playing, send_states(&shell, &id, shown, first_state));
    let (reason, end) = match played {
        Ok((reason, game)) => (reason, frame::push(push::END, &game.end(reason))),
        Err(_) => {
            tracing::error!(match_id = %id, "the game panicked: its match is ended; correct the game");
            let reason = EndReason::InternalError;
            let end = EndFrame::<()> {
                id: &id,
                reason,
                result: None,
            };
            (reason, frame::push(push::END, &end))
        }
    };
    shell.close_room(&id, end.into()).await;
    shell.metrics.ended.with_label_values(&[reason.as_str()]).inc();
    tracing::debug!(match_id = %id, reason = reason.as_str(), "match ended");
    shell.over(&id).await;
}

async fn play<G: Game>(
    shell: &Shell,
    id: &MatchId,
    setup: &Setup,
    mut mailbox: mpsc::Receiver<Command>,
    show: watch::Sender<Option<Frame>>,
) -> (EndReason, Match<G>) {
    let mut game = Match::<G>::new(id.clone(), setup, shell.settings.longest_match());
    let per_state = shell.settings.ticks_per_state();
    let mut ticks = tokio::time::interval(setup.tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut count = 0_u64;
    loop {
        tokio::select! {
            Some(command) = mailbox.recv() => match command {
                Command::Stop(reason) => return (reason, game),
                Command::Leave(client) => drop(game.leave(&client)),
                Command::Input { client, input, event } => {
                    let taken = game.input(&client, input);
                    shell.answer(event, taken.map(|()| json!({"ok": true})).map_err(refused));
                }
            },
            _ = ticks.tick() => {
                let start = Instant::now();
                if let Some(reason) = game.tick() {
                    return (reason, game);
                }
                if count.is_multiple_of(per_state) {
                    show.send_replace(Some(Frame::from(frame::push(push::STATE, &game.state()))));
                }
                count += 1;
                shell.metrics.tick.observe(start.elapsed().as_secs_f64());
            }
        }
    }
}

async fn send_states(shell: &Shell, id: &MatchId, mut shown: watch::Receiver<Option<Frame>>, first: Span) {
    let mut span = first;
    let Ok(room) = Room::new(NAMESPACE, id.as_str()) else {
        return;
    };
    while shown.changed().await.is_ok() {
        let Some(frame) = shown.borrow_and_update().clone() else {
            continue;
        };
        let sending = shell.adapter.to_room(&room, frame, RoomOptions::default());
        // The later ones belong to no trace.
        let sending = sending.instrument(std::mem::replace(&mut span, Span::none()));
        if let Err(error) = sending.await {
            tracing::debug!(%room, "could not send a state: {error}");
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn refused(error: InputError) -> Failure {
    let code = match error {
        InputError::NotAPlayer => ErrorCode::NotAllowed,
        InputError::Bad(_) => ErrorCode::BadPayload,
    };
    Failure::new(code, error.to_string())
}
