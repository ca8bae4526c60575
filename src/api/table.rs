//! `redinit status` for people: who is what, and a list of what somebody should look at.

use std::fmt::Write;

use super::picture::{Picture, SentinelPicture, ServerPicture, StrangerPicture};

/// What is not as it should be; empty where all is well.
pub fn warnings(picture: &Picture) -> Vec<String> {
    let mut found = Vec::new();
    for (name, probe) in [("live", &picture.probes.live), ("ready", &picture.probes.ready)] {
        if !probe.ok {
            found.push(format!("not {name}: {}", probe.reason));
        }
    }
    match &picture.master {
        None => found.push(format!("no master: {}", picture.reason)),
        Some(master) if !matches!(master.verdict.as_str(), "confirmed" | "hint") => {
            found.push(format!("the verdict on the master is {}", master.verdict));
        }
        Some(_) => {}
    }
    if picture.fenced {
        found.push("this node is fenced: writers are refused".to_owned());
    }
    if picture.maintenance {
        found.push("maintenance is on: nothing is promoted, re-pointed, fenced or restarted".to_owned());
    }
    let masters = picture.servers.iter().filter(|row| row.role == "master").count();
    if masters > 1 {
        found.push(format!("{masters} servers say master"));
    }
    found.extend(picture.servers.iter().filter_map(server_warning));
    let master = picture.master.as_ref().map(|master| master.address);
    for row in &picture.sentinels {
        if row.state != "ok" {
            found.push(format!("sentinel {}: {}", row.address, row.state));
        } else if row.master.is_some() && row.master != master {
            found.push(format!("sentinel {} names another master: {}", row.address, shown(row.master)));
        }
    }
    found
}

fn server_warning(row: &ServerPicture) -> Option<String> {
    let address = row.address;
    match (row.role.as_str(), row.link.as_deref()) {
        ("unknown", _) => Some(format!("server {address} does not answer")),
        ("replica", Some("up")) | ("master", _) => {
            (row.supervised == Some(false)).then(|| format!("server {address} has no supervisor"))
        }
        (_, link) => Some(format!("server {address}: its link is {}", link.unwrap_or("not known"))),
    }
}

/// The whole page.
pub fn draw(picture: &Picture, warnings: &[String]) -> String {
    let mut page = head(picture);
    if !picture.servers.is_empty() {
        page += "\n";
        page += &columns(
            ["Server", "Role", "Link", "Offset", "Lag", "Supervisor", ""],
            picture.servers.iter().map(|row| server(picture, row)),
        );
    }
    if !picture.sentinels.is_empty() {
        page += "\n";
        page += &columns(["Sentinel", "Names", "Epoch", "State"], picture.sentinels.iter().map(sentinel));
    }
    if !picture.strangers.is_empty() {
        page += "\n";
    }
    page.extend(picture.strangers.iter().map(stranger));
    if !warnings.is_empty() {
        page += "\n";
    }
    for warning in warnings {
        page += &format!("WARNING {}\n", plain(warning));
    }
    page
}

fn head(picture: &Picture) -> String {
    let engine = &picture.engine;
    let pid = engine.pid.map_or("not running".to_owned(), |pid| format!("pid {pid}"));
    let mut head = format!(
        "{} {}: {} since {}\n  {}\n  {} {}, {pid}, restarted {} times\n",
        picture.mode,
        picture.node,
        plain(&picture.phase),
        plain(&picture.since),
        plain(&picture.reason),
        plain(&engine.name),
        plain(&engine.version),
        engine.restarts
    );
    let _infallible = match &picture.master {
        Some(master) => writeln!(
            head,
            "  master {}, {} by {}, epoch {}",
            master.address,
            plain(&master.verdict),
            plain(&master.source),
            master.epoch
        ),
        None => writeln!(head, "  no master"),
    };
    if let Some(cluster) = &picture.cluster {
        let note = if cluster.is_settled() { "" } else { ", new: no write was taken under it yet" };
        let _infallible = writeln!(head, "  cluster {}{note}", cluster.id);
    }
    if let Some(handover) = &picture.handover {
        let to = shown(handover.to);
        let _infallible = writeln!(head, "  handover at {} to {to} since {}", plain(&handover.step), handover.since);
    }
    head
}

fn server(picture: &Picture, row: &ServerPicture) -> [String; 7] {
    let note = if row.address == picture.node { "this node" } else { "" };
    [
        row.address.to_string(),
        plain(&row.role),
        shown(row.link.as_deref().map(plain)),
        shown(row.offset),
        shown(row.lag),
        match row.supervised {
            Some(true) => "yes".to_owned(),
            Some(false) => "no".to_owned(),
            None => "-".to_owned(),
        },
        note.to_owned(),
    ]
}

fn sentinel(row: &SentinelPicture) -> [String; 4] {
    [row.address.to_string(), shown(row.master), shown(row.epoch), plain(&row.state)]
}

fn stranger(row: &StrangerPicture) -> String {
    let whose = row.cluster.as_ref().map_or("of no known cluster".to_owned(), |id| format!("of cluster {}", plain(id)));
    format!("  stranger {} {whose}: not followed, not counted\n", row.address)
}

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

/// What another node says never moves our terminal's cursor.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn columns<const N: usize>(names: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(names.map(str::to_owned)).chain(rows).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
