//! One scenario from the first Redis to the verdict.

use std::path::Path;

use anyhow::Context;
use tokio::time::sleep;

use crate::clock::now_us;
use crate::judge::{Evidence, Tally, judge};
use crate::pace::Pace;
use crate::process::Life;
use crate::scenario::Scenario;
use crate::stage::Stage;
use crate::story::Story;

/// How to play.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// A few seconds per scenario.
    pub short: bool,
    /// Messages a second of all servers together. Default: what the plan says.
    pub rate: Option<u32>,
    /// The program that changes nodes through admins. Default: requests over HTTP.
    pub changes_by: Option<&'a Path>,
}

/// The outcome of a scenario.
#[derive(Debug)]
pub struct Report {
    /// Its name.
    pub scenario: &'static str,
    /// The counts.
    pub tally: Tally,
    /// Why it could not be played to the end.
    pub problem: Option<String>,
    /// What servers reported that should not have happened, and when they reported that the promise did not hold.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether the promise was kept.
    pub fn passed(&self) -> bool {
        let tally = &self.tally;
        let bad = tally.lost + tally.doubled + tally.requests.silent + tally.requests.twice;
        self.problem.is_none() && bad == 0 && tally.sent > 0
    }

    /// In one word.
    pub fn verdict(&self) -> &'static str {
        match (self.passed(), &self.problem) {
            (true, _) => "ok",
            (false, None) => "FAILED",
            (false, Some(_)) => "BROKEN",
        }
    }
}

/// Plays a scenario in a folder for its logs, and judges it.
pub async fn run(scenario: &'static Scenario, options: &Options<'_>, folder: &Path) -> Report {
    let pace = Pace::new(&scenario.plan, options.short, options.rate);
    let story = Story::new(scenario.name);
    story.tell(scenario.what);
    let mut report = Report {
        scenario: scenario.name,
        tally: Tally::default(),
        problem: None,
        notes: Vec::new(),
    };
    match play(scenario, (options, pace), &story, folder).await {
        Err(error) => report.problem = Some(format!("{error:#}")),
        Ok((evidence, problem)) => {
            report.notes = evidence.lives.iter().flat_map(notes).collect();
            report.problem = problem;
            // Counting takes a while and must not delay the links of a scenario that plays at the same time.
            let judging = tokio::task::spawn_blocking(move || judge(&evidence)).await;
            match judging.map_err(anyhow::Error::from).flatten() {
                Ok(tally) => report.tally = tally,
                Err(error) => report.problem = Some(format!("{error:#}")),
            }
        }
    }
    story.tell(&format!("done: {}", report.verdict()));
    report
}

/// What is to be judged, and the error of the script, if there was one.
async fn play(
    scenario: &Scenario,
    (options, pace): (&Options<'_>, Pace),
    story: &Story,
    folder: &Path,
) -> anyhow::Result<(Evidence, Option<String>)> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be created", folder.display()))?;
    let mut stage = Stage::set(scenario.plan, pace, story.clone(), folder.to_owned()).await?;
    stage.changes_by(options.changes_by);
    stage.tell(&format!("load begins: {} messages/s", pace.rate));
    let from_us = now_us();
    stage.load().await?;
    sleep(pace.lead_in()).await;
    let played = (scenario.script)(&mut stage).await;
    sleep(pace.tail()).await;
    let until_us = now_us();
    stage.tell("load ends");
    let rested = stage.rest().await;
    stage.quiet().await?;
    let (plan, lives, excuses) = stage.strike().await?;
    let evidence = Evidence {
        plan,
        pace,
        lives,
        excuses,
        load_us: (from_us, until_us),
    };
    let problem = played.and(rested).err().map(|error| format!("{error:#}"));
    Ok((evidence, problem))
}

fn notes(life: &Life) -> Vec<String> {
    let troubles = life
        .reported
        .troubles
        .iter()
        .map(|what| format!("{}: {what}", life.name));
    let lapse = |lapse: &crate::talk::Lapse| {
        let node = lapse.node.as_ref().map(|node| format!(" ({node})")).unwrap_or_default();
        let length_ms = lapse.until_us.saturating_sub(lapse.from_us) / 1_000;
        format!("{} reports: {}{node} for {length_ms} ms", life.name, lapse.reason)
    };
    troubles.chain(life.reported.lapses.iter().map(lapse)).collect()
}
