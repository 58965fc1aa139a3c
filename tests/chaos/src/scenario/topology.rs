//! The map of nodes changes at run time.

use super::Played;
use crate::pace::span;
use crate::stage::Stage;
use crate::talk::Order;

pub(super) fn add(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        stage.add_node(0, 3).await?;
        stage.converged(&[(3, "active")]).await?;
        stage.wait(span(5.0, 1.0)).await;
        Ok(())
    })
}

pub(super) fn drain(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        stage.drain_node(2, 1).await?;
        stage.converged(&[(1, "gone")]).await?;
        stage.kill_redis(1);
        stage.wait(span(5.0, 1.0)).await;
        Ok(())
    })
}

pub(super) fn add_and_kill(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        stage.kill_redis(1);
        stage.add_node(0, 3).await?;
        stage.wait(span(1.0, 0.3)).await;
        stage.converged(&[(3, "active")]).await?;
        stage.kill_redis(0);
        stage.wait(span(8.0, 2.0)).await;
        stage.start_redis(0).await?;
        stage.start_redis(1).await
    })
}

pub(super) fn two_changes(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        let add = Order::AddNode { url: stage.url(3) };
        let drain = |node: usize| Order::DrainNode {
            id: format!("redis-{node}"),
        };
        stage.at_once((0, add), (1, drain(0))).await?;
        stage.converged(&[(0, "gone"), (3, "active")]).await?;
        stage.at_once((2, drain(1)), (4, drain(2))).await?;
        stage.converged(&[(1, "gone"), (2, "gone"), (3, "active")]).await?;
        stage.wait(span(5.0, 1.0)).await;
        Ok(())
    })
}
