//! The promise holds in the short form of every scenario. At most two run at a time: each starts its own cluster.

use std::process::Command;

use parking_lot::{Condvar, Mutex};

const BINARY: &str = env!("CARGO_BIN_EXE_wsmesh-chaos");
/// Scenarios that are played at the same time.
const AT_ONCE: usize = 2;

static PLAYING: Mutex<usize> = Mutex::new(0);
static DONE: Condvar = Condvar::new();

/// A permit to play a scenario; given back when dropped, also when the test fails.
struct Permit;

impl Permit {
    fn wait() -> Self {
        let mut playing = PLAYING.lock();
        DONE.wait_while(&mut playing, |playing| *playing >= AT_ONCE);
        *playing += 1;
        Self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *PLAYING.lock() -= 1;
        DONE.notify_one();
    }
}

/// Plays a scenario and prints its outcome.
#[expect(clippy::print_stdout, reason = "shown when the test fails")]
fn keeps_the_promise(scenario: &str) {
    let _permit = Permit::wait();
    let output = Command::new(BINARY)
        .args(["--short", "--scenario", scenario])
        .output()
        .expect("the harness starts");
    let (story, table) = (
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout),
    );
    println!("{story}{table}");
    assert!(output.status.success(), "{scenario} did not keep the promise:\n{table}");
}

/// One test per scenario, and one that checks that none is missing.
macro_rules! scenarios {
    ($($test:ident: $scenario:literal,)*) => {
        $(#[test]
        fn $test() {
            keeps_the_promise($scenario);
        })*

        #[test]
        fn every_scenario_is_tested() {
            let output = Command::new(BINARY).arg("--list").output().expect("the harness starts");
            let list = String::from_utf8(output.stdout).expect("text");
            let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
            assert_eq!(names, [$($scenario),*]);
        }
    };
}

scenarios! {
    calm: "calm",
    one_redis_is_killed: "kill-one",
    one_redis_hangs: "hang-one",
    one_redis_is_restarted_again_and_again: "restart-often",
    all_redis_but_one_are_down: "all-but-one",
    every_redis_is_killed_at_once: "total-outage",
    every_redis_is_restarted: "rolling-redis",
    a_redis_wakes_with_old_messages: "sleeper",
    one_link_is_cut: "cut-link",
    one_link_is_half_open: "half-open",
    the_links_of_one_server_are_slow: "delay",
    redis_cuts_off_a_slow_subscriber: "slow-subscriber",
    no_node_is_heard_by_all: "crossed",
    a_server_is_cut_off_for_a_moment: "blink",
    a_server_is_cut_off_for_longer_than_the_window: "partition",
    a_server_process_is_stopped_and_wakes: "stopped-receiver",
    the_servers_that_handle_requests_are_restarted: "rolling-logic",
    wall_clocks_jump: "clock-jumps",
    a_node_is_added: "add-node",
    a_node_is_drained_and_removed: "drain-node",
    a_node_is_added_while_another_is_killed: "add-and-kill",
    two_changes_of_the_nodes_at_once: "two-changes",
    admins_are_killed_once_they_have_accepted_a_job: "killed-admins",
}
