//! The example service as a process: exit codes, output, signals, probes, traces.

mod debug;
mod ending;
mod ports;
mod printing;
mod support;
mod traces;
