//! The limits in `docs/how-it-decides.md` are those of the code.

use std::time::Duration;

use redinit::core::engines::{EngineName, EngineVersion, Version};
use redinit::core::id::Address;
use redinit::core::label::Labels;
use redinit::core::notice::Notices;
use redinit::core::rules::{ElectorRule, Mode, Rules};

use super::files::{quoted, table, text};

#[test]
fn fixed_limits_are_those_of_the_code() {
    let rows = table(&text("docs/how-it-decides.md"), "<!-- limits: fixed -->");
    assert!(rows.len() > 20, "only {} rows found", rows.len());
    for row in rows {
        let constant = quoted(&row[2]).next().unwrap_or_else(|| panic!("no constant in {row:?}"));
        let (room, name) = constant.split_once("::").unwrap();
        let code = text(&format!("src/core/{room}.rs"));
        let start = format!("const {name}: Duration = ");
        let line = code.lines().find_map(|line| line.split_once(start.as_str()));
        let (_, value) = line.unwrap_or_else(|| panic!("src/core/{room}.rs has no {name}"));
        assert_eq!(said(&row[1]), duration(value), "{constant}");
    }
}

#[test]
fn derived_limits_are_those_of_the_code() {
    let rules = defaults();
    let rows = table(&text("docs/how-it-decides.md"), "<!-- limits: derived -->");
    assert_eq!(rows.len(), 5);
    for row in rows {
        let name = quoted(&row[0]).next().unwrap();
        let value = match name {
            "w" => rules.w(),
            "fence_after" => rules.fence_after(),
            "pause" => rules.pause(),
            "cut_after" => rules.cut_after(),
            "surely_fenced_after" => rules.surely_fenced_after(),
            other => panic!("{other} is no rule"),
        };
        assert_eq!(said(&row[1]), value, "{name}");
    }
}

#[test]
fn the_grace_period_is_divided_as_told() {
    let budget = defaults().budget();
    let shares = [budget.handover, budget.drain, budget.save, budget.escalation, budget.margin];
    let seconds: Vec<u64> = shares.iter().map(Duration::as_secs).collect();
    let [handover, drain, save, escalation, margin] = seconds[..] else { panic!() };
    let told = text("docs/how-it-decides.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = format!(
        "{handover} s for the handover, {drain} s for the replicas to catch up, {save} s to save, {escalation} s from the \
         first forced step to SIGKILL, {margin} s in reserve"
    );
    assert!(told.contains(&sentence), "docs/how-it-decides.md does not say: {sentence}");
}

/// `1.5 s`, `300 ms`.
fn said(text: &str) -> Duration {
    let (number, unit) = text.split_once(' ').unwrap_or_else(|| panic!("{text}: a number and a unit"));
    let number: f64 = number.parse().unwrap();
    match unit {
        "s" => Duration::from_secs_f64(number),
        "ms" => Duration::from_secs_f64(number / 1000.0),
        other => panic!("{other} is no unit"),
    }
}

/// `Duration::from_secs(3);`
fn duration(code: &str) -> Duration {
    let (kind, rest) = code.trim_start_matches("Duration::").split_once('(').unwrap();
    let number: u64 = rest.split_once(')').unwrap().0.replace('_', "").parse().unwrap();
    match kind {
        "from_secs" => Duration::from_secs(number),
        "from_millis" => Duration::from_millis(number),
        other => panic!("{other}: teach this test"),
    }
}

/// The defaults of `conf/redinit.toml`.
fn defaults() -> Rules {
    let settings: toml::Value = toml::from_str(&text("conf/redinit.toml")).unwrap();
    let time = |key: &str| {
        let value = settings.get(key).and_then(toml::Value::as_str).unwrap();
        Duration::from_secs(value.strip_suffix('s').unwrap().parse().unwrap())
    };
    Rules {
        mode: Mode::Server,
        master_name: "mymaster".into(),
        cluster_id: None,
        me: Address::parse("10.0.0.1", 6379).unwrap(),
        quorum: 2,
        down_after: time("down_after"),
        failover_timeout: time("failover_timeout"),
        expected_servers: Some(3),
        sentinels_configured: true,
        sentinels_listed: Vec::new(),
        servers_listed: Vec::new(),
        servers_configured: true,
        elector: ElectorRule::None,
        in_kubernetes: false,
        priority: 100,
        grace: time("grace_period"),
        restart_max: 5,
        restart_within: Duration::from_secs(300),
        engine: EngineVersion { name: EngineName::Redis, version: Version::new(7, 0, 15) },
        labels: Labels::Off,
        notices: Notices::Off,
        nonce: 1,
    }
}
