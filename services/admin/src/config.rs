//! The checked configuration of an admin: the common settings and its own.

use wsmesh_bootstrap::{CommonConfig, Problems};

use crate::settings::AdminSettings;

/// The configuration of an admin, without problems.
#[derive(Debug, Clone)]
pub struct Config {
    /// The settings of every service.
    pub common: CommonConfig,
    /// The settings of an admin.
    pub settings: AdminSettings,
}

impl Config {
    /// Checks what no single setting can know.
    pub(crate) fn check(common: CommonConfig, settings: AdminSettings, problems: &mut Problems) -> Option<Self> {
        if common.listen.is_none() {
            problems.about(
                "listen",
                "is needed for the API: write an address, for example 0.0.0.0:9100",
            );
        }
        settings.access.check_together(problems);
        settings.check_kubernetes(&common, problems);
        if settings.needs_no_token() && !common.profile.is_demo() {
            problems.about(
                "token_file",
                "in production the API needs a token: write one into a file (openssl rand -hex 32 > FILE) and name the file, \
                 or name a file with several tokens (--tokens-file, see admin token --help), or try things out with --profile demo",
            );
        }
        problems.lines().is_empty().then_some(Self { common, settings })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use wsmesh_bootstrap::document::Reference;

    use crate::Admin;

    const NOTHING: [(String, String); 0] = [];

    fn token_file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        file
    }

    #[test]
    fn production_without_a_token_file_is_refused_and_told_what_to_do() {
        let problems = wsmesh_bootstrap::load::<Admin>([""; 0], NOTHING).expect_err("refused");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("--token-file (not set)"), "{problems:?}");
        assert!(problems[0].contains("openssl rand -hex 32") && problems[0].contains("--profile demo"));
    }

    #[test]
    fn demo_needs_no_token_and_guards_the_api_if_one_is_given() {
        let open = wsmesh_bootstrap::load::<Admin>(["--profile", "demo"], NOTHING).expect("taken");
        assert!(open.settings.needs_no_token());
        assert_eq!(open.common.listen.map(|address| address.port()), Some(9100));
        let file = token_file("0123456789abcdef\n");
        let environment = [
            ("WSMESH_TOKEN_FILE", file.path().to_str().expect("a path")),
            ("WSMESH_PROFILE", "demo"),
        ];
        let guarded = wsmesh_bootstrap::load::<Admin>([""; 0], environment).expect("taken");
        assert!(!guarded.settings.needs_no_token());
        let token = guarded.settings.token_file.expect("a token");
        assert_eq!(token.secret().expose(), b"0123456789abcdef");
    }

    #[test]
    fn everything_wrong_is_listed_at_once_and_the_token_is_not_shown() {
        let file = token_file("hunter2");
        let path = file.path().to_str().expect("a path");
        let arguments = [
            "--token-file",
            path,
            "--listen",
            "none",
            "--kubernetes-redis-service",
            "Not_A_Name",
        ];
        let problems = wsmesh_bootstrap::load::<Admin>(arguments, NOTHING).expect_err("refused");
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(!problems.concat().contains("hunter2"), "{problems:?}");
    }

    #[test]
    fn a_token_file_that_is_missing_is_one_problem() {
        let problems =
            wsmesh_bootstrap::load::<Admin>(["--token-file", "/no/such/file"], NOTHING).expect_err("refused");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("/no/such/file"), "{problems:?}");
    }

    #[test]
    fn everything_wrong_with_the_tokens_file_is_listed_and_no_hash_is_shown() {
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let text = format!(
            "[[tokens]]\nname = \"a b\"\nrole = \"viewer\"\nsha256 = \"{hash}\"\n[[tokens]]\nname = \"c\"\nrole = \"king\"\n\
             sha256 = \"{hash}\"\n"
        );
        let file = token_file(&text);
        let arguments = ["--tokens-file", file.path().to_str().expect("a path")];
        let problems = wsmesh_bootstrap::load::<Admin>(arguments, NOTHING).expect_err("refused");
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(
            problems.iter().all(|problem| problem.starts_with("--tokens-file")),
            "{problems:?}"
        );
        assert!(!problems.concat().contains(&hash[..10]), "{problems:?}");
    }

    #[test]
    fn a_stateful_set_is_followed_only_with_its_service_and_a_lease() {
        let token = token_file("0123456789abcdef");
        let token = token.path().to_str().expect("a path");
        let load = |more: &[&str]| {
            let arguments = ["--token-file", token, "--kubernetes-redis-statefulset", "wsmesh-redis"];
            wsmesh_bootstrap::load::<Admin>(arguments.into_iter().chain(more.iter().copied()), NOTHING)
        };
        let all = [
            "--redis-service",
            "redis://wsmesh-redis#redis",
            "--kubernetes-redis-service",
            "wsmesh-redis",
            "--kubernetes-lease",
            "wsmesh-admin",
        ];
        assert!(load(&all).is_ok());
        for (given, missing) in [
            (&all[..4], "--kubernetes-lease"),
            (&all[2..], "--redis-service"),
            (&[all[0], all[1], all[4], all[5]], "--kubernetes-redis-service"),
        ] {
            let problems = load(given).expect_err("refused");
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(
                problems[0].starts_with("--kubernetes-redis-statefulset") && problems[0].contains(missing),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn settings_that_would_let_strangers_in_or_nobody_are_rejected() {
        let keys = token_file("{\"keys\": []}");
        let keys = keys.path().to_str().expect("a path");
        for (arguments, wrong) in [
            (
                &["--oidc-jwks-url", "https://id.example.org/keys"][..],
                "--oidc-jwks-url",
            ),
            (&["--oidc-jwks-file", keys, "--oidc-audience", "a"], "--oidc-jwks-file"),
            // Its other tokens would do, too.
            (
                &["--oidc-jwks-url", "https://id.example.org/keys", "--oidc-issuer", "a"],
                "--oidc-jwks-url",
            ),
            (&["--kubernetes-audience", "wsmesh"], "--kubernetes-audience"),
            (
                &["--kubernetes-token-review", "--token-file", keys],
                "--kubernetes-token-review",
            ),
            (
                &[
                    "--oidc-jwks-url",
                    "https://id.example.org/keys",
                    "--oidc-audience",
                    "a",
                    "--oidc-role",
                    "king",
                ],
                "--oidc-role",
            ),
        ] {
            let problems = wsmesh_bootstrap::load::<Admin>(arguments.iter().copied(), NOTHING).expect_err("refused");
            assert!(
                problems.iter().any(|problem| problem.starts_with(wrong)),
                "{wrong}: {problems:?}"
            );
        }
        let arguments = [
            "--oidc-jwks-url",
            "https://id.example.org/keys",
            "--oidc-audience",
            "wsmesh",
        ];
        assert!(wsmesh_bootstrap::load::<Admin>(arguments, NOTHING).is_ok());
    }

    #[test]
    fn costs_of_pods_are_written_only_by_the_admin_that_leads() {
        let problems = wsmesh_bootstrap::load::<Admin>(["--profile", "demo", "--pod-deletion-cost"], NOTHING);
        let problems = problems.expect_err("several admins would write them");
        assert!(
            problems.len() == 1 && problems[0].contains("--kubernetes-lease"),
            "{problems:?}"
        );
        let with_lease = [
            "--profile",
            "demo",
            "--pod-deletion-cost",
            "--kubernetes-lease",
            "wsmesh-admin",
        ];
        let config = wsmesh_bootstrap::load::<Admin>(with_lease, NOTHING).expect("taken");
        assert!(config.settings.pod_deletion_cost);
    }

    #[test]
    fn the_readme_has_the_settings_as_declared() {
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        assert_eq!(Reference::of::<Admin>().check(readme), Ok(()));
    }

    #[test]
    fn settings_keep_their_names_and_defaults() {
        let pinned = include_str!("../tests/settings.txt");
        assert_eq!(Reference::of::<Admin>().check_defaults(pinned), Ok(()));
    }
}
