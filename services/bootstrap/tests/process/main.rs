//! The example service as a process: exit codes, output, signals, probes, traces, metrics.

mod debug;
mod ending;
mod metrics;
mod ports;
mod printing;
mod support;
mod traces;
