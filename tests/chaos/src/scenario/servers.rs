//! Server processes that stop, restart, or whose clocks jump.

use super::Played;
use crate::pace::span;
use crate::plan::Plan;
use crate::stage::Stage;

/// Every server has a wall clock that can be set.
pub(super) const FAKE_CLOCKS: Plan = Plan {
    fake_clock: true,
    ..Plan::USUAL
};

/// An hour, in seconds.
const HOUR: i64 = 3_600;

pub(super) fn stopped_receiver(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        let excuse = stage.excuse(1);
        stage.stop_server(1)?;
        stage.wait(span(10.0, 3.0)).await;
        stage.wake_server(1)?;
        stage.no_more(excuse);
        Ok(())
    })
}

pub(super) fn rolling_logic(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        let (first, second) = (3, 4);
        stage.quit_server(first).await?;
        stage.start_server(first).await?;
        stage.wait(span(5.0, 1.0)).await;
        stage.quit_server(second).await?;
        stage.start_server(second).await?;
        stage.wait(span(5.0, 1.0)).await;
        stage.kill_server(first).await?;
        stage.start_server(first).await?;
        stage.wait(span(5.0, 1.0)).await;
        // This one is away for so long that the others remove it from their roster.
        stage.kill_server(second).await?;
        stage.wait(span(8.0, 2.0)).await;
        stage.start_server(second).await
    })
}

pub(super) fn clock_jumps(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        stage.set_clock(0, HOUR)?;
        stage.wait(span(3.0, 1.0)).await;
        stage.set_clock(1, -HOUR)?;
        stage.wait(span(3.0, 1.0)).await;
        // A server that starts again with a clock far behind is still the younger one.
        stage.set_clock(3, -HOUR)?;
        stage.quit_server(3).await?;
        stage.start_server(3).await?;
        stage.wait(span(3.0, 1.0)).await;
        for server in [0, 1, 3] {
            stage.set_clock(server, 0)?;
        }
        stage.wait(span(3.0, 1.0)).await;
        Ok(())
    })
}
