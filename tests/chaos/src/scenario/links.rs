//! Links between servers and nodes that break, fall silent, slow down.

use anyhow::ensure;

use super::Played;
use crate::pace::span;
use crate::plan::Plan;
use crate::proxy::Mode;
use crate::stage::Stage;

/// Redis holds little for subscribers that read slowly. The server notices within three probes that it hears nothing:
/// messages are large, and probes not too frequent, so that Redis is first.
pub(super) const SLOW: Plan = Plan {
    redis_arguments: &["--client-output-buffer-limit", "pubsub", "512kb", "0", "0"],
    padding: (3_000, 15_000),
    rate: (5_000, 400),
    default_settings: true,
    ..Plan::USUAL
};

/// Each server misses the node of its number, modulo three.
pub(super) const CROSSED: Plan = Plan {
    missing_links: &[(0, 0), (1, 1), (2, 2), (3, 0), (4, 1)],
    ..Plan::USUAL
};

pub(super) fn cut(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        stage.link(1, 1, Mode::Cut);
        stage.wait(span(8.0, 2.0)).await;
        stage.link(1, 1, Mode::Pass);
        Ok(())
    })
}

pub(super) fn half_open(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        stage.link(1, 1, Mode::HalfOpen);
        stage.wait(span(10.0, 2.5)).await;
        stage.link(1, 1, Mode::Pass);
        Ok(())
    })
}

pub(super) fn delay(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        let delay = stage.pace.of(span(0.3, 0.06));
        stage.links(1, Mode::Delay(delay));
        stage.wait(span(8.0, 2.0)).await;
        stage.links(1, Mode::Pass);
        Ok(())
    })
}

pub(super) fn slow_subscriber(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        let before = stage.cut_off_by(0)?;
        // Enough for probes to come through for a while, far too little for the load.
        stage.link(1, 0, Mode::Throttle(20_000));
        stage.wait(span(15.0, 5.0)).await;
        // A busy machine takes longer for as much load.
        for _ in 0..10 {
            if stage.cut_off_by(0)? > before {
                break;
            }
            stage.wait(span(2.0, 1.0)).await;
        }
        stage.link(1, 0, Mode::Pass);
        let times = stage.cut_off_by(0)? - before;
        let others = stage.cut_off_by(1)? + stage.cut_off_by(2)?;
        stage.tell(&format!(
            "redis-0 cut off {times} slow subscribers, the other Redis {others}"
        ));
        ensure!(
            times > 0,
            "Redis disconnected no client: the load is too low for this scenario"
        );
        Ok(())
    })
}

pub(super) fn crossed(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        stage.wait(span(10.0, 2.0)).await;
        // Now edge-1 and edge-2 share no node, for less than the window: accepted messages must arrive afterwards. Events and
        // requests for the other one may be refused meanwhile.
        let excuse = stage.excuse(1);
        stage.link(1, 0, Mode::Cut);
        stage.wait(span(2.5, 0.6)).await;
        stage.link(1, 0, Mode::Pass);
        stage.no_more(excuse);
        Ok(())
    })
}

pub(super) fn blink(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        // Nothing is excused: its own messages wait meanwhile, and messages for it are sent again.
        stage.links(1, Mode::Cut);
        stage.wait(span(2.0, 0.6)).await;
        stage.links(1, Mode::Pass);
        Ok(())
    })
}

pub(super) fn partition(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        let excuse = stage.excuse(1);
        stage.links(1, Mode::HalfOpen);
        stage.wait(span(15.0, 5.0)).await;
        stage.links(1, Mode::Pass);
        stage.no_more(excuse);
        Ok(())
    })
}
