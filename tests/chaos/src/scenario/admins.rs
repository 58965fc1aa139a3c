//! The map of nodes changes through admins that are killed.

use super::Played;
use crate::pace::span;
use crate::stage::Stage;

/// Every change is accepted by an admin that is killed in the next moment, and is asked for at the other one.
pub(super) fn killed(stage: &mut Stage) -> Played<'_> {
    Box::pin(async move {
        stage.start_admin(0).await?;
        stage.start_admin(1).await?;
        let added = stage.add_through(0, 3).await?;
        stage.kill_admin(0).await?;
        stage.job_is_done(1, &added).await?;
        stage.converged(&[(3, "active")]).await?;
        stage.start_admin(0).await?;
        let removed = stage.remove_through(1, 1).await?;
        stage.kill_admin(1).await?;
        stage.job_is_done(0, &removed).await?;
        stage.converged(&[(1, "gone"), (3, "active")]).await?;
        stage.kill_redis(1);
        stage.start_admin(1).await?;
        stage.jobs_agree([0, 1], 2).await?;
        stage.wait(span(5.0, 1.0)).await;
        Ok(())
    })
}
