//! What all other parts need: settings, names of channels, and what this server knows of nodes and servers. Each part keeps its
//! share.

use std::sync::Arc;

use super::choices::CurrentChoices;
use super::hearing::Hearing;
use super::lapses::Lapses;
use super::members::Members;
use super::tasks::Tasks;
use crate::local::Origin;
use crate::metrics::Metrics;
use crate::options::{Bus, Options};
use crate::wire::{Channels, Instance};

/// The parts that know no others. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Foundation {
    pub(crate) options: Arc<Options>,
    pub(crate) channels: Arc<Channels>,
    pub(crate) choices: Arc<CurrentChoices>,
    pub(crate) hearing: Arc<Hearing>,
    pub(crate) members: Arc<Members>,
    pub(crate) lapses: Arc<Lapses>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tasks: Tasks,
}

impl Foundation {
    pub(crate) fn new(options: Options, instance: Instance) -> prometheus::Result<Self> {
        let metrics = Arc::new(Metrics::new(&options.registry)?);
        let choices = Arc::new(CurrentChoices::default());
        let is_alone = matches!(options.bus, Bus::Alone);
        Ok(Self {
            channels: Arc::new(Channels::new(&options.prefix, options.routing.clone())),
            hearing: Arc::new(Hearing::new(choices.clone(), options.replay_window)),
            choices,
            members: Arc::new(Members::new(options.name.clone(), instance, is_alone)),
            lapses: Arc::new(Lapses::new(options.replay_window, metrics.clone())),
            metrics,
            tasks: Tasks::new(),
            options: Arc::new(options),
        })
    }

    /// What this server's connections are named by.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            server: self.options.name.clone(),
            instance: self.members.instance(),
        }
    }

    /// Single-server mode: there are no nodes, and never will be.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self.options.bus, Bus::Alone)
    }
}
