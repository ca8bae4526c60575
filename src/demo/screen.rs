//! What the demo prints: plain lines, and at the end a table that stays in its place on a terminal.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::cluster::Cluster;
use super::node::{Kind, Node};

/// A line to standard output. Whoever closed it does not read it.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::demo::screen::line(&format!($($text)*))
    };
}
pub(super) use say;

/// Prints one line.
pub(super) fn line(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").ok();
}

/// A number with commas: 1,234,567.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds with one decimal, milliseconds below one second.
pub(super) fn short(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// The live view.
#[derive(Debug, Default)]
pub(super) struct Screen {
    drawn: usize,
    last: Vec<String>,
}

impl Screen {
    /// Shows these rows in place of the last ones; where there is no terminal, only when something but `counters`
    /// (the last row) has changed.
    pub(super) fn show(&mut self, rows: Vec<String>, counters: &str) {
        let mut out = std::io::stdout().lock();
        if std::io::stdout().is_terminal() {
            if self.drawn > 0 {
                write!(out, "\x1b[{}A\x1b[J", self.drawn).ok();
            }
            for row in rows.iter().map(String::as_str).chain([counters]) {
                writeln!(out, "{row}").ok();
            }
            self.drawn = rows.len() + 1;
        } else if rows != self.last {
            for row in rows.iter().map(String::as_str).chain([counters, ""]) {
                writeln!(out, "{row}").ok();
            }
            self.last = rows;
        }
        out.flush().ok();
    }
}

/// A table of the cluster, one row a node.
pub(super) fn table(cluster: &Cluster) -> Vec<String> {
    let mut rows = vec![format!("  {:<12}{:<22}{:<10}{:<9}what it says of itself", "node", "address", "role", "pid")];
    rows.extend(cluster.nodes.iter().map(row));
    rows
}

fn row(node: &Node) -> String {
    let (role, reason) = state(node);
    let pid = node.pid().map(|pid| pid.to_string()).unwrap_or_default();
    let reason: String = reason.chars().take(70).collect();
    format!("  {:<12}{:<22}{role:<10}{pid:<9}{reason}", node.name, node.address().to_string())
}

/// A node's role and reason, in its own words.
pub(super) fn state(node: &Node) -> (String, String) {
    let Some(status) = node.status() else {
        return ("-".into(), "no answer".into());
    };
    let word = |key: &str| status.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let role = match (node.kind, word("phase")) {
        (Kind::Sentinel, _) => "sentinel".into(),
        (_, phase) => phase,
    };
    (role, word("reason"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let texts: Vec<_> = [0, 999, 1000, 21480, 1_234_567].map(grouped).into();
        assert_eq!(texts, ["0", "999", "1,000", "21,480", "1,234,567"]);
    }

    #[test]
    fn times_are_short() {
        assert_eq!(short(Duration::from_micros(118_400)), "118 ms");
        assert_eq!(short(Duration::from_millis(2340)), "2.3 s");
    }
}
