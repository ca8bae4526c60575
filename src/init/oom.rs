//! Whether the kernel killed for want of memory: SIGKILL from outside looks the same otherwise (P26).

use std::fs;

/// cgroup v2, then v1, as a container sees them. v1 has one line `oom_kill n` in another file.
const COUNTERS: [&str; 2] = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];

/// How many processes of our cgroup the kernel had killed at some moment; unknown outside a container.
#[derive(Clone, Copy, Debug)]
pub(super) struct OomCount(Option<u64>);

impl OomCount {
    /// Reads it now.
    pub(super) fn read() -> Self {
        OomCount(COUNTERS.iter().find_map(|path| parse(&fs::read_to_string(path).ok()?)))
    }

    /// Whether it has risen since.
    pub(super) fn has_risen(self) -> bool {
        matches!((self.0, Self::read().0), (Some(before), Some(now)) if now > before)
    }
}

fn parse(events: &str) -> Option<u64> {
    events.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p26_the_kill_counter_is_read_not_its_neighbours() {
        assert_eq!(parse("low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 4\n"), Some(1));
        assert_eq!(parse("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(parse("oom_kill many\n"), None);
        assert_eq!(parse(""), None);
    }
}
