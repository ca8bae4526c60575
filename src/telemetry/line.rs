//! How a line looks. Always one line, never over a limit, whatever is in it.

use std::fmt::Write;
use std::time::SystemTime;

use serde_json::Value;
use tracing::Level;

use crate::api::wall::rfc3339;

/// Longest text in a line, in characters: what others send is quoted in reasons.
const LONGEST: usize = 2000;

/// One event.
pub struct Line<'a> {
    /// When; shown only (P44).
    pub time: SystemTime,
    /// How loud.
    pub level: Level,
    /// Which module.
    pub target: &'a str,
    /// What.
    pub message: String,
    /// Who we are, once known.
    pub node: Option<&'a str>,
    /// The rest.
    pub fields: Vec<(&'static str, Value)>,
}

/// One JSON object, its fields in an order that people can read, too.
pub fn json(line: &Line<'_>) -> String {
    let mut fields: Vec<(&str, Value)> = vec![
        ("ts", rfc3339(line.time).into()),
        ("level", level(line.level).to_lowercase().into()),
        ("target", line.target.into()),
        ("msg", short(&line.message).into()),
    ];
    fields.extend(line.node.map(|node| ("node", node.into())));
    fields.extend(line.fields.iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.clone(), |text| short(text).into());
        (*name, value)
    }));
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}:{value}", Value::from(*name))).collect();
    format!("{{{}}}\n", fields.join(","))
}

/// For people: `2026-11-22T20:48:19.123Z INFO  follow: reason (address=10.0.0.1:6379)`.
pub fn text(line: &Line<'_>) -> String {
    let mut text = format!("{} {:5} {}", rfc3339(line.time), level(line.level), short(&line.message));
    let mut rest = Vec::new();
    for (name, value) in &line.fields {
        let value = value.as_str().map_or_else(|| value.to_string(), short);
        match *name {
            "event" => {}
            "reason" => {
                let _infallible = write!(text, ": {value}");
            }
            _ => rest.push(format!("{name}={value}")),
        }
    }
    if !rest.is_empty() {
        let _infallible = write!(text, " ({})", rest.join(" "));
    }
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    text + "\n"
}

/// What stands where lines are missing.
pub fn lost(count: u64) -> Line<'static> {
    Line {
        time: SystemTime::now(),
        level: Level::WARN,
        target: "redinit::telemetry",
        message: format!("{count} log lines were lost: stderr is not read fast enough"),
        node: None,
        fields: Vec::new(),
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn line(message: &str) -> Line<'_> {
        Line {
            time: UNIX_EPOCH,
            level: Level::INFO,
            target: "redinit",
            message: message.to_owned(),
            node: Some("10.0.0.2:6379"),
            fields: vec![
                ("event", "follow".into()),
                ("reason", "named by\n3 Sentinels".into()),
                ("address", "10.0.0.1:6379".into()),
                ("count", 3.into()),
            ],
        }
    }

    #[test]
    fn both_forms() {
        let value: Value = serde_json::from_str(&json(&line("follow"))).unwrap();
        let expected = serde_json::json!({
            "ts": "1970-01-01T00:00:00.000Z", "level": "info", "target": "redinit", "msg": "follow",
            "node": "10.0.0.2:6379", "event": "follow", "reason": "named by\n3 Sentinels",
            "address": "10.0.0.1:6379", "count": 3
        });
        assert_eq!(value, expected);
        assert!(json(&line("follow")).starts_with(r#"{"ts":"1970-01-01T00:00:00.000Z","level":"info","#));
        assert_eq!(
            text(&line("follow")),
            "1970-01-01T00:00:00.000Z INFO  follow: named by 3 Sentinels (address=10.0.0.1:6379 count=3)\n"
        );
    }

    #[test]
    fn always_one_line_within_a_limit() {
        let awful = "\r\n\x1b[2J\u{85}\"".repeat(10_000);
        for line in [json(&line(&awful)), text(&line(&awful))] {
            assert_eq!(line.matches('\n').count(), 1);
            assert!(line.len() < 20_000 && !line.contains('\x1b'));
        }
    }
}
