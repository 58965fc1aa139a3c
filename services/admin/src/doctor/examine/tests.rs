use std::time::Duration;

use tokio::net::TcpListener;
use wsmesh_adapter::{Adapter, Driver, Fault, MemoryBus, NodeUrl, ServiceName, Started};
use wsmesh_bootstrap::CommonConfig;

use super::super::diagnosis::{Diagnosis, Severity};
use super::*;
use crate::settings::AdminSettings;

fn config(bus: Bus) -> Config {
    let mut common = CommonConfig::new("admin-0");
    common.bus = bus;
    common.listen = Some("0.0.0.0:9100".parse().expect("an address"));
    Config {
        common,
        settings: AdminSettings::default(),
    }
}

/// A server of the cluster, ready.
async fn server(name: &str, bus: &MemoryBus) -> (Adapter, Driver) {
    let service = ServiceName::new("ws-node").expect("a name");
    let mut options = Options::new(ServerName::new(name).expect("a name"), service);
    options.bus = Bus::Memory(bus.clone());
    options.version = wsmesh_bootstrap::VERSION.to_owned();
    let Started { adapter, driver, .. } = Adapter::start(options).expect("valid");
    adapter.ready().await;
    (adapter, driver)
}

async fn look(config: &Config) -> Vec<Part> {
    examine(config, &CancellationToken::new()).await
}

fn part<'a>(parts: &'a [Part], name: &str) -> &'a Part {
    parts.iter().find(|part| part.part == name).expect("a part")
}

#[tokio::test(start_paused = true)]
async fn a_healthy_cluster_has_no_problem_and_forgets_the_doctor_at_once() {
    let bus = MemoryBus::new(["a", "b"]).expect("valid ids");
    let (one, _driver) = server("ws-0", &bus).await;
    let (_two, _second) = server("ws-1", &bus).await;
    let parts = look(&config(Bus::Memory(bus))).await;
    let problems: Vec<_> = parts.iter().flat_map(|part| &part.findings).collect();
    assert_eq!(problems, Vec::<&super::super::diagnosis::Finding>::new());
    assert_eq!(part(&parts, "servers").looked_at.as_deref(), Some("2 ws-node"));
    assert_eq!(
        part(&parts, "topology").looked_at.as_deref(),
        Some("2 nodes in use, 2 servers")
    );
    let clocks = part(&parts, "clocks").looked_at.as_deref();
    assert!(
        clocks.is_some_and(|text| text.starts_with("2 servers within ")),
        "{clocks:?}"
    );
    let names: Vec<_> = one
        .servers()
        .into_iter()
        .map(|server| server.name.to_string())
        .collect();
    assert_eq!(names, ["ws-0", "ws-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_down_for_everyone_is_found_and_does_not_hold_up_the_rest() {
    let bus = MemoryBus::new(["a", "b"]).expect("valid ids");
    let _server = server("ws-0", &bus).await;
    bus.set_fault("b", Fault::Fail);
    let start = tokio::time::Instant::now();
    let parts = look(&config(Bus::Memory(bus))).await;
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    let found: Vec<_> = part(&parts, "topology")
        .findings
        .iter()
        .map(|finding| finding.about.as_str())
        .collect();
    assert_eq!(found, ["b"]);
    assert_eq!(part(&parts, "servers").findings, []);
}

#[tokio::test(start_paused = true)]
async fn without_other_servers_it_says_so() {
    let bus = MemoryBus::new(["a"]).expect("valid ids");
    let parts = look(&config(Bus::Memory(bus))).await;
    assert_eq!(
        part(&parts, "topology").skipped.as_deref(),
        Some("no other server runs")
    );
    assert_eq!(part(&parts, "servers").findings[0].severity, Severity::Note);
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_hears_nothing_is_given_up_in_time() {
    let bus = MemoryBus::new(["a"]).expect("valid ids");
    bus.set_fault("a", Fault::Pause);
    let parts = look(&config(Bus::Memory(bus))).await;
    let why = part(&parts, "servers").skipped.as_deref();
    assert_eq!(why, Some("no Redis node was heard within 4 s"));
    let found = &part(&parts, "topology").findings[0];
    assert_eq!(
        (found.severity, found.what.as_str()),
        (
            Severity::Problem,
            "it could not be visited: no Redis node was heard within 4 s"
        )
    );
    assert!(!found.why.is_empty() && !found.fix.is_empty());
    assert_eq!(Diagnosis::new(Timestamp::now(), parts).exit_code(), 1);
}

#[test]
fn a_kubernetes_that_does_not_answer_is_a_problem_and_the_exit_code_says_so() {
    let config = config(Bus::Memory(MemoryBus::new(["a"]).expect("valid ids")));
    let cluster = super::super::fixture::cluster();
    let silent = Err("the Kubernetes API did not answer within 5 s".to_owned());
    let diagnosis = |pods| Diagnosis::new(Timestamp::now(), judge(&config, &[], Ok(&cluster), pods));
    let seen = diagnosis(Some(&silent));
    let unseen = part(&seen.parts, "kubernetes");
    assert_eq!((unseen.looked_at.as_ref(), seen.exit_code()), (None, 1));
    assert_eq!(unseen.findings[0].severity, Severity::Problem);
    assert_eq!(
        diagnosis(None).exit_code(),
        0,
        "outside Kubernetes there is nothing to ask"
    );
}

#[tokio::test(start_paused = true)]
async fn an_interruption_ends_the_visit_with_a_goodbye() {
    let bus = MemoryBus::new(["a"]).expect("valid ids");
    let (one, _driver) = server("ws-0", &bus).await;
    let interrupted = CancellationToken::new();
    let stop = interrupted.clone();
    let mut roster = one.roster();
    let interrupting = async move {
        let joined = roster.wait_for(|servers| servers.len() == 2).await;
        joined.map(drop).expect("the adapter runs");
        stop.cancel();
    };
    let config = config(Bus::Memory(bus));
    let (parts, ()) = tokio::join!(examine(&config, &interrupted), interrupting);
    assert_eq!(part(&parts, "servers").skipped.as_deref(), Some("interrupted"));
    let mut roster = one.roster();
    let gone = roster.wait_for(|servers| servers.len() == 1);
    let gone = tokio::time::timeout(Duration::from_secs(2), gone).await;
    assert!(gone.is_ok(), "a server that says no goodbye is missed for six seconds");
}

#[tokio::test]
async fn without_a_redis_nothing_else_is_looked_at() {
    let parts = look(&config(Bus::Alone)).await;
    assert_eq!(part(&parts, "redis").findings[0].severity, Severity::Problem);
    assert_eq!(
        part(&parts, "clocks").skipped.as_deref(),
        Some("no Redis node can be used")
    );
}

#[tokio::test]
async fn a_redis_that_accepts_and_says_nothing_delays_only_its_own_line() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("redis://{}#silent", silent.local_addr().expect("bound"));
    let parts = look(&config(Bus::Redis(vec![NodeUrl::parse(&url).expect("valid")]))).await;
    let redis = part(&parts, "redis");
    assert_eq!(redis.looked_at.as_deref(), Some("1 node"));
}
