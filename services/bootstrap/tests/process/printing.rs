//! What the service prints: problems of its configuration, help, the effective configuration.

use std::process::Stdio;

use crate::support::{greeter, output};

#[test]
fn a_wrong_configuration_ends_with_64_and_one_line_per_problem() {
    let (code, stdout, stderr) = output(greeter().args(["--listen", "here"]).env("WSMESH_NONSENSE", "1"));
    assert_eq!((code, stdout.as_str()), (Some(64), ""));
    assert!(
        stderr.starts_with("greeter does not start: 3 problems in its configuration\n"),
        "{stderr}"
    );
    for line in [
        "\n  WSMESH_NONSENSE: ",
        "\n  --listen: ",
        "\n  --token-file (not set): profile production needs a token",
    ] {
        assert!(stderr.contains(line), "{line} in {stderr}");
    }
}

#[test]
fn a_token_that_opens_nothing_and_unclear_variables_end_with_64() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "0123456789abcdef").expect("written");
    let mut command = greeter();
    command
        .args(["--profile", "demo", "--ops-listen", "none", "--debug-token-file"])
        .arg(token)
        .env("OTEL_SDK_DISABLED", "yes");
    let (code, _, stderr) = output(&mut command);
    assert_eq!(code, Some(64), "{stderr}");
    for line in [
        "\n  --debug-token-file: it opens nothing while --ops-listen is none",
        "\n  OTEL_SDK_DISABLED: write true or false\n",
    ] {
        assert!(stderr.contains(line), "{line} in {stderr}");
    }
}

#[test]
fn errors_of_the_command_line_are_whole_sentences() {
    for (arguments, line) in [
        (
            ["--max-greting", "2"],
            "\n  unexpected argument '--max-greting' found; tip: a similar argument exists: '--max-greetings'\n",
        ),
        (
            ["--loud", "true"],
            "\n  unrecognized subcommand 'true'; if it is the value of a switch, write it after =, as in --FLAG=true\n",
        ),
    ] {
        let (code, _, stderr) = output(greeter().args(arguments));
        assert_eq!(code, Some(64), "{stderr}");
        assert!(stderr.contains(line), "{line} in {stderr}");
    }
}

#[test]
fn help_and_version_are_answers() {
    let (code, stdout, _) = output(greeter().arg("--help"));
    assert_eq!(code, Some(0));
    for part in [
        "Greets everyone who connects.",
        "Common settings:",
        "Settings of greeter:",
        "--max-greetings <N>",
        "[default: 1000] [env: WSMESH_MAX_GREETINGS]",
        "[default: 0.0.0.0:9200] [env: WSMESH_LISTEN]",
        "healthcheck",
        "In the file only: rules",
        "64 if the configuration is wrong",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_TRACES_SAMPLER_ARG",
        "services/TELEMETRY.md",
    ] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }
    let (code, stdout, _) = output(greeter().arg("--version"));
    assert_eq!((code, stdout.starts_with("greeter 0.")), (Some(0), true), "{stdout}");
}

#[test]
fn a_tool_needs_no_settings_and_decides_about_the_exit_code() {
    // Without a token file, the service itself would not start.
    let (code, stdout, stderr) = output(greeter().args(["rehearse", "--guest", "ann"]));
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "hello, ann\n", ""));
    let (code, _, _) = output(greeter().args(["rehearse", "--guest", "nobody"]));
    assert_eq!(code, Some(7));
    let (code, stdout, _) = output(greeter().args(["rehearse", "--help"]));
    assert_eq!(code, Some(0));
    assert!(
        stdout.contains("--guest <NAME>") && !stdout.contains("--max-greetings"),
        "{stdout}"
    );
    let (_, stdout, _) = output(greeter().arg("--help"));
    assert!(stdout.contains("rehearse"), "{stdout}");
}

#[test]
fn wrong_arguments_of_a_tool_end_with_64() {
    for (arguments, said) in [
        (vec!["rehearse"], "--guest <NAME>"),
        (vec!["rehearse", "--max-greetings", "3"], "--max-greetings"),
        (
            vec!["--profile", "demo", "rehearse", "--guest", "ann"],
            "write greeter rehearse first",
        ),
    ] {
        let (code, stdout, stderr) = output(greeter().args(&arguments));
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

#[test]
fn output_that_cannot_be_written_ends_with_1_and_output_that_is_not_read_with_0() {
    let code_and_stderr = |argument: &str, stdout: Stdio| {
        let mut command = greeter();
        command.args(["--profile", "demo", argument]).stdout(stdout);
        let child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    for argument in ["--help", "--version", "--print-config"] {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("a full device");
        let (code, stderr) = code_and_stderr(argument, full.into());
        assert_eq!(code, Some(1), "{argument}");
        assert!(stderr.contains("cannot write to stdout"), "{argument}: {stderr}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert_eq!(
            code_and_stderr(argument, writer.into()),
            (Some(0), String::new()),
            "{argument}"
        );
    }
}

#[test]
fn the_printed_configuration_names_sources_hides_secrets_and_is_a_valid_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("token"), "t0ken").expect("written");
    std::fs::write(
        path("c.toml"),
        "max_greetings = 7\n[[rules]]\nguest = 'ann'\ngreeting = 'hi'\n",
    )
    .expect("written");
    let (code, stdout, stderr) = output(
        greeter()
            .args([
                "--print-config",
                "--redis",
                "redis://:hunter2@a#1",
                "--ops-listen",
                "none",
                "--config",
            ])
            .arg(path("c.toml"))
            .env("WSMESH_TOKEN_FILE", path("token")),
    );
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for part in [
        "max_greetings = 7  # max_greetings in ",
        "redis = [\"redis://a:6379#1\"]  # --redis\n",
        "ops_listen = \"none\"  # --ops-listen\n",
        "prefix = \"wsmesh:\"  # default\n",
        "# redis_password_file is not set\n",
        "/token\"  # WSMESH_TOKEN_FILE\n",
        "[[rules]]\ngreeting = \"hi\"\nguest = \"ann\"\n",
        "# traces: none\n",
        "# nothing is sent to a collector: OTEL_EXPORTER_OTLP_ENDPOINT is not set\n",
    ] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }
    assert!(!stdout.contains("t0ken") && !stdout.contains("hunter2"), "{stdout}");
    std::fs::write(path("again.toml"), &stdout).expect("written");
    let (code, again, stderr) = output(greeter().args(["--print-config", "--config"]).arg(path("again.toml")));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let values = |text: &str| text.parse::<toml::Table>().expect("TOML");
    assert_eq!(values(&again), values(&stdout));
}
