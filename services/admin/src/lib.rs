//! HTTP API that shows the whole cluster, changes its Redis nodes and sends messages to its clients.
//!
//! Reading order: `settings`, `config`, `service` (the process), `api` (routes and their limits), `access` (who may use which of
//! them), `audit` (who changed what), `idempotency` (requests that are repeated), `commands` (what backends do with clients),
//! `gather` (turns what servers report into answers), `jobs` (changes of the nodes, followed until they are done), `statistics`
//! (samples the cluster once a second), `watching` (follows one client), `kubernetes` and `discovery` (which Redis nodes there should
//! be), `membership` (makes it so), `scaler` (changes how many there are), `leading` (what one of the admins does for all), `probes`
//! (the ops port). The last jobs, the last idempotency keys and an hour of numbers are stored, in memory; every other answer is
//! gathered from the live servers at the moment of the request. `doctor` and `top` are commands of their own.

mod access;
mod api;
mod audit;
mod commands;
mod config;
mod discovery;
mod doctor;
mod gather;
mod idempotency;
mod jobs;
mod json;
mod kubernetes;
mod leading;
mod membership;
mod metrics;
mod paths;
mod probes;
mod problem;
mod scaler;
mod service;
mod settings;
mod shapes;
mod statistics;
mod top;
mod watching;

pub use access::{AccessSettings, MAX_TOKEN_CHARS, MIN_TOKEN_CHARS, Token, TokenError};
pub use config::Config;
pub use metrics::{METRIC_NAMES, REQUEST_DURATION, REQUESTS};
pub use service::{Admin, run};
pub use settings::AdminSettings;
