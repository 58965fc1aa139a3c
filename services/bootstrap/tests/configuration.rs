//! Settings from flags, environment, file and defaults: which takes precedence, and which problems are reported.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{Bus, NodeUrl, PasswordFile};
use wsmesh_bootstrap::{CommonConfig, NoSettings, Problems, SecretFile, Service, Sockets, Tables, load, settings};

settings! {
    /// Settings of the example.
    struct ExampleSettings {
        /// Most clients.
        max_clients: usize = 10,
        /// Longest wait.
        patience: Duration = Duration::from_secs(2),
        /// Who may come.
        guests: Vec<String>,
        /// Whether to shout.
        loud: bool = true,
        /// A token.
        token_file: Option<SecretFile>,
        /// Rules.
        rules: Tables<Rule>,
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Rule {
    event: String,
    limit: Option<u32>,
}

#[derive(Debug)]
struct Config {
    common: CommonConfig,
    own: ExampleSettings,
}

struct Example;

impl Service for Example {
    const NAME: &'static str = "example";
    const ABOUT: &'static str = "An example.";
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("listen", "0.0.0.0:9000")];
    type Settings = ExampleSettings;
    type Config = Config;

    fn config(common: CommonConfig, own: ExampleSettings, problems: &mut Problems) -> Option<Config> {
        if own.max_clients > 10 && own.token_file.is_none() {
            problems.about("max_clients", "more than 10 need a token");
        }
        Some(Config { common, own })
    }

    async fn run(_: Config, _: Sockets, _: CancellationToken) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Has no ops port of its own, but serves its ops routes on others.
struct Bundle;

impl Service for Bundle {
    const NAME: &'static str = "bundle";
    const ABOUT: &'static str = "Several servers in one.";
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("ops_listen", "none")];
    const SERVES_OPS_ELSEWHERE: bool = true;
    type Settings = NoSettings;
    type Config = CommonConfig;

    fn config(common: CommonConfig, _: NoSettings, _: &mut Problems) -> Option<CommonConfig> {
        Some(common)
    }

    async fn run(_: CommonConfig, _: Sockets, _: CancellationToken) -> anyhow::Result<()> {
        Ok(())
    }
}

fn example(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    load::<Example>(arguments, environment.iter().copied())
}

fn valid(arguments: &[&str], environment: &[(&str, &str)]) -> Config {
    example(arguments, environment).expect("a valid configuration")
}

fn problems(arguments: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    example(arguments, environment).expect_err("a configuration with problems")
}

fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    let mut file = std::fs::File::create(&path).expect("created");
    file.write_all(text.as_bytes()).expect("written");
    (folder, path)
}

#[test]
fn flags_precede_environment_precedes_file_precedes_default() {
    let (_folder, path) = file(
        "c.toml",
        "max_clients = 5\npatience = '7s'\nguests = ['ann', 'bob']\nprefix = 'f:'",
    );
    let path = path.to_str().expect("text");
    let environment = [
        ("WSMESH_MAX_CLIENTS", "6"),
        ("WSMESH_PATIENCE", "800ms"),
        ("WSMESH_CONFIG", path),
    ];
    let config = valid(&["--max-clients", "7"], &environment);
    assert_eq!(config.own.max_clients, 7);
    assert_eq!(config.own.patience, Duration::from_millis(800));
    assert_eq!(config.own.guests, ["ann", "bob"]);
    assert_eq!(config.common.prefix, "f:");
    assert_eq!(config.common.shutdown_grace, Duration::from_secs(25));
    assert_eq!(config.common.listen.map(|address| address.port()), Some(9000));
}

#[test]
fn a_list_is_a_repeated_flag_or_separated_by_commas() {
    let flags = valid(&["--redis", "redis://a#1", "--redis=redis://b#2,redis://c#3"], &[]);
    let variable = valid(&[], &[("WSMESH_REDIS", "redis://a#1, redis://b#2,redis://c#3")]);
    for config in [flags, variable] {
        let Bus::Redis(nodes) = &config.common.bus else {
            panic!("Redis: {:?}", config.common.bus);
        };
        let ids: Vec<_> = nodes.iter().map(|node| node.id().as_str()).collect();
        assert_eq!(ids, ["1", "2", "3"]);
    }
    assert!(matches!(valid(&[], &[]).common.bus, Bus::Alone));
}

#[test]
fn an_empty_variable_is_not_set_and_none_unsets() {
    let config = valid(
        &["--listen", "none"],
        &[("WSMESH_MAX_CLIENTS", ""), ("WSMESH_REDIS", "")],
    );
    assert_eq!(config.own.max_clients, 10);
    assert_eq!(config.common.listen, None);
}

#[test]
fn the_replay_window_reaches_the_adapter_and_has_bounds() {
    let options = |arguments: &[&str]| {
        let common = valid(arguments, &[]).common;
        common.adapter_options("test", prometheus::Registry::new())
    };
    let given = options(&["--replay-window", "20s", "--replay-bytes", "8388608"]);
    assert_eq!(
        (given.replay_window, given.replay_bytes),
        (Duration::from_secs(20), 8 << 20)
    );
    let default = options(&[]);
    assert_eq!(
        (default.replay_window, default.replay_bytes),
        (Duration::from_secs(6), 64 << 20)
    );
    for (arguments, start) in [
        (
            ["--replay-window", "3m"],
            "--replay-window: is too long: write at most 2m",
        ),
        (["--replay-window", "0s"], "--replay-window: is too short"),
        (
            ["--replay-bytes", "1000"],
            "--replay-bytes: is too small: write at least 1048576",
        ),
    ] {
        let found = problems(&arguments, &[]);
        assert!(found.len() == 1 && found[0].starts_with(start), "{found:#?}");
    }
}

#[test]
fn the_largest_message_reaches_the_adapter_and_has_a_bound() {
    let options = |arguments: &[&str]| {
        let common = valid(arguments, &[]).common;
        common.adapter_options("test", prometheus::Registry::new())
    };
    assert_eq!(options(&["--max-publish-bytes", "100000"]).max_publish_bytes, 100_000);
    assert_eq!(options(&[]).max_publish_bytes, 8 << 20);
    let found = problems(&["--max-publish-bytes", "1000"], &[]);
    let start = "--max-publish-bytes: is too small: write at least 65536";
    assert!(found.len() == 1 && found[0].starts_with(start), "{found:#?}");
}

#[test]
fn a_switch_needs_no_value() {
    assert!(!valid(&["--loud=false"], &[]).own.loud);
    assert!(valid(&["--loud"], &[("WSMESH_LOUD", "false")]).own.loud);
}

#[test]
fn all_problems_are_listed_at_once_with_their_place() {
    let (_folder, path) = file(
        "c.toml",
        "max_clints = 5\npatience = 'soon'\n[[rules]]\nevent = 'a'\nlimit = 'x'\n[[rules]]\nevent = 'b'\nlimt = 3\n",
    );
    let path = path.to_str().expect("text");
    let environment = [
        ("WSMESH_GUEST", "x"),
        ("WSMESH_PROFILE", "test"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "jaeger"),
    ];
    let found = problems(
        &["--config", path, "--listen", "9000", "--max-clients", "11"],
        &environment,
    );
    for (start, part) in [
        (format!("max_clints in {path}"), "did you mean max_clients?"),
        ("WSMESH_GUEST".to_owned(), "did you mean WSMESH_GUESTS?"),
        ("--listen".to_owned(), "write IP:PORT"),
        ("WSMESH_PROFILE".to_owned(), "write demo or production"),
        (format!("patience in {path}"), "write for example 250ms"),
        (format!("rules in {path}: number 1"), "invalid type"),
        (format!("rules in {path}: number 2"), "unknown key limt"),
        ("--max-clients".to_owned(), "more than 10 need a token"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), "write http://HOST:4318"),
    ] {
        let hits = found
            .iter()
            .filter(|line| line.starts_with(&start) && line.contains(part))
            .count();
        assert_eq!(hits, 1, "{start} … {part} in {found:#?}");
    }
    assert_eq!(found.len(), 9, "{found:#?}");
    assert!(found.iter().all(|line| !line.contains('\n')), "{found:#?}");
}

#[test]
fn a_wrong_flag_does_not_hide_other_problems() {
    let found = problems(
        &["--max-client", "3"],
        &[("WSMESH_PROFILE", "x"), ("WSMESH_NONSENSE", "1")],
    );
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(
        found[0].contains("'--max-client'") && found[0].contains("'--max-clients'"),
        "{found:#?}"
    );
}

#[test]
fn a_setting_that_cannot_be_read_is_one_problem_only() {
    let found = problems(&["--max-clients", "many"], &[]);
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let found = problems(&["--config", "/nowhere/c.toml", "--token-file", "/nowhere/t"], &[]);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("cannot read /nowhere/c.toml: No such file"),
        "{found:#?}"
    );
    assert!(
        found[1].starts_with("--token-file: cannot read /nowhere/t"),
        "{found:#?}"
    );
    let (_folder, path) = file("c.toml", "max_clients = 1\n[[rules\n");
    let found = problems(&["--config", path.to_str().expect("text")], &[]);
    assert!(found[0].contains("c.toml, line 2: not TOML"), "{found:#?}");
    let (_folder, path) = file("token", "\n");
    let found = problems(&["--token-file", path.to_str().expect("text")], &[]);
    assert!(found[0].contains("is empty"), "{found:#?}");
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let found = problems(&["--ops-listen", "127.0.0.1:9000"], &[]);
    assert!(
        found[0].starts_with("--ops-listen: port 9000 is used by --listen, too"),
        "{found:#?}"
    );
    let found = problems(&["--redis", "redis://a#1,redis://b#1"], &[]);
    assert!(found[0].contains("two nodes have the id 1"), "{found:#?}");
    let found = problems(&["--redis-timeout", "0s"], &[]);
    assert!(found[0].starts_with("--redis-timeout: is too short"), "{found:#?}");
}

#[test]
fn the_password_file_is_for_urls_without_a_password() {
    let (_folder, path) = file("password", "s3cret\n");
    let file = path.to_str().expect("text");
    let urls = "redis://a#1,redis://:own@b#2";
    let config = valid(&["--redis", urls, "--redis-password-file", file], &[]);
    let Bus::Redis(nodes) = &config.common.bus else {
        panic!("Redis: {:?}", config.common.bus);
    };
    let expected = |url: &str| NodeUrl::parse(url).expect("valid");
    let password = PasswordFile::read(&path).expect("a password");
    assert_eq!(
        nodes[..],
        [
            expected("redis://a#1").with_password_file(password),
            expected("redis://:own@b#2")
        ]
    );
    let shown = format!("{config:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("own@"), "{shown}");
}

#[test]
fn secrets_are_read_without_the_line_end_and_not_shown() {
    let (_folder, path) = file("token", "t0ken\r\n");
    let config = valid(&[], &[("WSMESH_TOKEN_FILE", path.to_str().expect("text"))]);
    let token = config.own.token_file.as_ref().expect("given");
    assert_eq!(token.secret().expose(), b"t0ken");
    assert!(!format!("{:?} {:?}", config.own, token.secret()).contains("t0ken"));
}

#[test]
fn problems_never_repeat_a_redis_url() {
    let found = problems(&["--redis", "redis://:hunter2@host/3"], &[]);
    assert!(!found.join("\n").contains("hunter2"), "{found:#?}");
}

#[test]
fn a_name_is_made_up_where_the_host_has_several_servers() {
    let made_up = valid(&[], &[("HOSTNAME", "laptop")]).common.name;
    assert!(made_up.as_str().starts_with("example-"), "{made_up}");
    let pod = valid(
        &[],
        &[("HOSTNAME", "example-7d9f-x2"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")],
    );
    assert_eq!(pod.common.name.as_str(), "example-7d9f-x2");
}

#[test]
fn a_misspelt_log_level_is_refused() {
    let found = problems(&["--log-level", "inof"], &[]);
    assert!(found[0].contains("write error, warn, info"), "{found:#?}");
    valid(&["--log-level", "warn,wsmesh_adapter=debug"], &[]);
}

#[test]
fn rules_of_the_file_are_typed() {
    let (_folder, path) = file("c.toml", "[[rules]]\nevent = 'a'\nlimit = 3\n[[rules]]\nevent = 'b'\n");
    let config = valid(&["--config", path.to_str().expect("text")], &[]);
    let rules: Vec<_> = config
        .own
        .rules
        .iter()
        .map(|rule| (rule.event.as_str(), rule.limit))
        .collect();
    assert_eq!(rules, [("a", Some(3)), ("b", None)]);
}

#[test]
fn shared_routing_has_prefixes_of_its_own_and_no_compression() {
    use wsmesh_adapter::Routing;
    assert_eq!(valid(&[], &[]).common.routing, Routing::Direct);
    let shared = valid(&["--routing", "shared", "--bridge-prefix", "b:"], &[])
        .common
        .routing;
    let expected = Routing::Shared {
        bridge_prefix: "b:".into(),
        ws_prefix: "ws:".into(),
    };
    assert_eq!(shared, expected);
    let found = problems(
        &[
            "--routing",
            "shared",
            "--ws-prefix",
            "csbp:",
            "--compress-above",
            "1000",
        ],
        &[],
    );
    assert!(
        found
            .iter()
            .any(|problem| problem.contains("overlap: none may begin with another")),
        "{found:#?}"
    );
    assert!(
        found
            .iter()
            .any(|problem| problem.contains("cannot be used with shared routing")),
        "{found:#?}"
    );
}

#[test]
fn a_cluster_id_may_be_empty_and_must_be_printable() {
    let id = |flags: &[&str], variables: &[(&str, &str)]| valid(flags, variables).common.cluster_id;
    assert!(id(&[], &[]).is_empty() && id(&["--cluster-id", ""], &[]).is_empty());
    assert_eq!(id(&[], &[("WSMESH_CLUSTER_ID", "shop/mesh")]).as_str(), "shop/mesh");
    let long = "x".repeat(256);
    for wrong in [&long, "a\nb"] {
        let found = problems(&["--cluster-id", wrong], &[]);
        assert!(found.iter().any(|problem| problem.contains("cluster id")), "{found:#?}");
    }
}

#[test]
fn a_token_that_opens_nothing_is_refused_unless_the_ops_routes_are_served_elsewhere() {
    let (_folder, path) = file("token", "0123456789abcdef0123456789abcdef");
    let path = path.to_str().expect("text");
    let arguments = ["--profile", "demo", "--debug-token-file", path];
    valid(&arguments, &[]);
    let without = [&arguments[..], &["--ops-listen", "none"]].concat();
    let lines = problems(&without, &[]);
    let [line] = &lines[..] else {
        panic!("one problem: {lines:?}")
    };
    assert!(
        line.contains("--debug-token-file") && line.contains("it opens nothing while --ops-listen is none"),
        "{line}"
    );
    let nothing: [(String, String); 0] = [];
    let config = load::<Bundle>(arguments, nothing).expect("its servers have ops ports");
    assert!(config.debug_token_file.is_some() && config.ops_listen.is_none());
}
