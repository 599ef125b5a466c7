//! What an environment means, and how mistakes in it are told.

use std::time::Duration;

use kici_protocol::agent::PropertyValue;

use super::*;

fn read(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let base = [("KICI_ORCHESTRATOR_URL", "ws://h:1/ws"), ("KICI_DATA_DIR", "/tmp/kici-data")];
    Config::read(
        base.iter().chain(vars).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

#[test]
fn defaults_are_those_of_the_reference() {
    let config = read(&[("KICI_LABELS", ""), ("PATH", "/bin")]).unwrap();
    assert_eq!(config.port, 8080);
    assert_eq!(config.jobs.max_log_bytes, 10_485_760);
    assert_eq!(config.roles, [Role::Builder, Role::InitRunner]);
    assert_eq!(config.times.job_heartbeat, Duration::from_secs(60));
    assert_eq!(config.backpressure, Backpressure::Pause);
    assert!(config.agent_id.is_none() && config.labels.is_empty() && config.warm_process);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let error = Config::read(
        [
            ("KICI_LABLES", "x"),
            ("KICI_LABELS", "linux,KICI:gpu"),
            ("KICI_PORT", "-5"),
            ("KICI_BACKPRESSURE_MODE", "stop"),
            ("KICI_ROLES", "cook"),
            ("KICI_DATA_DIR", "here"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    )
    .unwrap_err();
    insta::assert_snapshot!(error, @r#"
    Unknown KICI_* env var(s) detected — refusing to start. Set KICI_DEV=true to downgrade this to a warning.
      - KICI_LABLES (did you mean KICI_LABELS?)
    Configuration validation failed:
      - KICI_ORCHESTRATOR_URL: is required, e.g. ws://ci.example:4000/ws
      - KICI_LABELS: KICI:gpu starts with the reserved prefix `kici:`; such labels are set by the agent itself, remove them
      - KICI_ROLES: "cook" is no role, write builder, init-runner, all or nothing
      - KICI_PORT: is "-5", write a whole number from 0
      - KICI_DATA_DIR: is "here", write an absolute path
      - KICI_BACKPRESSURE_MODE: is "stop", write one of pause, drop
    "#);
}

#[test]
fn dev_mode_only_warns_about_unknown_names() {
    let config = read(&[("KICI_LABLES", "x"), ("KICI_DEV", "true")]).unwrap();
    assert_eq!(config.warnings, ["unknown variable KICI_LABLES (did you mean KICI_LABELS?)"]);
}

#[test]
fn a_scaler_may_set_reserved_labels() {
    let config = read(&[("KICI_LABELS", "kici:scaler:a"), ("KICI_SCALER_MANAGED", "1")]).unwrap();
    assert_eq!(config.labels, ["kici:scaler:a"]);
    assert_eq!(config.scaler.unwrap().idle, Duration::from_secs(5));
}

#[test]
fn an_empty_role_list_means_execution_only() {
    assert_eq!(read(&[("KICI_ROLES", "")]).unwrap().roles, []);
    assert_eq!(read(&[("KICI_ROLES", "builder")]).unwrap().roles, [Role::Builder]);
}

#[test]
fn a_bare_host_means_its_link() {
    for (given, meant) in [
        ("ws://h:4000", "ws://h:4000/ws"),
        ("wss://h/", "wss://h/ws"),
        ("wss://h/ci/ws", "wss://h/ci/ws"),
    ] {
        let vars = [("KICI_ORCHESTRATOR_URL".to_owned(), given.to_owned())];
        assert_eq!(Config::read(vars).unwrap().orchestrator_url, meant);
    }
    for wrong in ["http://h/ws", "h:4000", "ws://", "ws:///ws"] {
        let vars = [("KICI_ORCHESTRATOR_URL".to_owned(), wrong.to_owned())];
        assert!(Config::read(vars).is_err(), "{wrong}");
    }
}

#[test]
fn properties_are_typed() {
    let config = read(&[("KICI_PROPERTIES", "gpu=true,slots=4,zone=eu-1")]).unwrap();
    assert_eq!(config.properties["gpu"], PropertyValue::Bool(true));
    assert_eq!(config.properties["slots"], PropertyValue::Number(4.0));
    assert_eq!(config.properties["zone"], PropertyValue::Text("eu-1".into()));
}

#[test]
fn isolation_that_does_not_exist_is_not_pretended() {
    let error = read(&[("KICI_SANDBOX", "true"), ("KICI_EXECUTION_MODE", "container")]);
    let text = error.unwrap_err().to_string();
    assert!(text.contains("KICI_SANDBOX") && text.contains("KICI_EXECUTION_MODE"), "{text}");
}

#[test]
fn what_is_shown_has_no_secrets() {
    let vars = [
        ("KICI_ORCHESTRATOR_URL", "ws://user:hunter2@ci.example/ws"),
        ("KICI_AGENT_TOKEN", "kat_hunter2"),
        ("KICI_LABELS", "linux"),
        ("HOME", "/home/hunter2"),
    ];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let shown = Config::read(vars).unwrap().shown;
    assert_eq!(shown["KICI_LABELS"], "linux");
    assert!(!format!("{shown:?}").contains("hunter2"), "{shown:?}");
}
