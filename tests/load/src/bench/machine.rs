//! The machine, on which the numbers depend.

use std::fs::read_to_string;

/// Cores, kernel and TCP congestion control: a line for the results.
pub(super) fn description() -> String {
    let read = |path: &str| read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned());
    let cpus = read("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let congestion = read("/proc/sys/net/ipv4/tcp_congestion_control");
    format!("{cores} cores of {model}, Linux {kernel}, servers send with {congestion}")
}
