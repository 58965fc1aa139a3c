//! Redis nodes that die, hang, come back.

use super::Played;
use crate::pace::span;
use crate::plan::Plan;
use crate::stage::Stage;

/// The default window, which the outage must not exceed.
pub(super) const DEFAULT_WINDOW: Plan = Plan {
    default_settings: true,
    ..Plan::USUAL
};

pub(super) fn calm(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        stage.wait(span(10.0, 2.0)).await;
        Ok(())
    })
}

pub(super) fn kill_one(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        stage.kill_redis(1);
        stage.wait(span(10.0, 2.0)).await;
        Ok(())
    })
}

pub(super) fn hang_one(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        stage.stop_redis(1)?;
        stage.wait(span(10.0, 2.5)).await;
        stage.wake_redis(1)
    })
}

pub(super) fn restart_often(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        let times = if stage.pace.short { 3 } else { 8 };
        for _ in 0..times {
            stage.kill_redis(1);
            stage.wait(span(0.5, 0.2)).await;
            stage.start_redis(1).await?;
            stage.wait(span(2.5, 1.0)).await;
        }
        Ok(())
    })
}

pub(super) fn all_but_one(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        stage.kill_redis(0);
        stage.kill_redis(2);
        stage.wait(span(10.0, 2.5)).await;
        stage.start_redis(0).await?;
        stage.start_redis(2).await
    })
}

pub(super) fn total_outage(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        for node in 0..DEFAULT_WINDOW.nodes {
            stage.kill_redis(node);
        }
        stage.wait(span(2.0, 2.0)).await;
        for node in 0..DEFAULT_WINDOW.nodes {
            stage.start_redis(node).await?;
        }
        Ok(())
    })
}

pub(super) fn rolling_restart(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        for node in 0..3 {
            stage.kill_redis(node);
            stage.wait(span(1.0, 0.2)).await;
            stage.start_redis(node).await?;
            stage.wait(span(6.0, 1.5)).await;
        }
        Ok(())
    })
}

pub(super) fn sleeper(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        stage.stop_redis(1)?;
        // Longer than four windows: what it holds is older than any mark.
        stage.wait(span(60.0, 10.0)).await;
        stage.wake_redis(1)
    })
}
