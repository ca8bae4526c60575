//! What a cluster left behind.

use std::fs;
use std::path::Path;

/// Processes that live in this directory, or were started with it.
pub fn of(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let text = dir.display().to_string();
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()))
        .filter_map(|entry| {
            let at = entry.path();
            let lives = fs::read_link(at.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
            let command = String::from_utf8_lossy(&fs::read(at.join("cmdline")).unwrap_or_default()).replace('\0', " ");
            let started = String::from_utf8_lossy(&fs::read(at.join("environ")).unwrap_or_default()).contains(&text);
            (lives || started || command.contains(&text)).then(|| format!("{} {command}", at.display()))
        })
        .collect()
}

/// Children of this process that ended and were not reaped.
pub fn zombies(parent: nix::unistd::Pid) -> Vec<String> {
    let ended = |pid: &nix::unistd::Pid| {
        fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')))
    };
    redinit::demo::launch::children_of(parent).iter().filter(|pid| ended(pid)).map(ToString::to_string).collect()
}
