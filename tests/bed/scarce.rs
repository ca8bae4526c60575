//! Machines that have too little: a small disk, little memory.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use redinit::demo::cluster::Node;

/// A small disk, or a limit of memory: gone when dropped, after the node that lives on it.
#[derive(Debug)]
pub enum Scarce {
    /// The mount namespace in which the disk is.
    Disk(#[allow(dead_code, reason = "held open")] File),
    /// The control group.
    Memory(PathBuf),
}

/// Gives a node that does not run yet a data directory of so many megabytes, in memory. It keeps what is in it over the
/// node's restarts, and nobody else sees it; see [`as_seen_by`].
pub fn small_disk(node: &mut Node, megabytes: u32) -> io::Result<Scarce> {
    fs::create_dir_all(node.data())?;
    let data = node.data();
    let made = std::thread::scope(|scope| {
        let making = scope.spawn(|| -> io::Result<File> {
            unshare(CloneFlags::CLONE_NEWNS)?;
            let nothing = None::<&str>;
            // Nothing of it reaches the machine: so nothing of it can stay there.
            mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
            mount(Some("tmpfs"), &data, Some("tmpfs"), MsFlags::empty(), Some(format!("size={megabytes}m").as_str()))?;
            File::open("/proc/thread-self/ns/mnt")
        });
        making.join().unwrap()
    })?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), made.as_raw_fd());
    node.enter.extend(["nsenter".to_owned(), format!("--mount={path}")]);
    Ok(Scarce::Disk(made))
}

/// A path as a running node sees it: its disk may be its own.
pub fn as_seen_by(node: &Node, path: &Path) -> PathBuf {
    let root = format!("/proc/{}/root", node.pid().expect("it does not run"));
    Path::new(&root).join(path.strip_prefix("/").unwrap())
}

/// Gives a node that does not run yet so many megabytes of memory; the reason why not, where there are no control groups.
pub fn little_memory(node: &mut Node, megabytes: u64) -> Result<Scarce, String> {
    let (root, limit) = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
        .into_iter()
        .find(|(root, limit)| {
            Path::new(root).join(limit).exists() || Path::new(root).join("cgroup.subtree_control").exists()
        })
        .ok_or("no control groups for memory")?;
    let group = Path::new(root).join(format!("redinit-test-{}-{}", std::process::id(), node.name));
    fs::create_dir(&group).map_err(|error| format!("{}: {error}", group.display()))?;
    let scarce = Scarce::Memory(group.clone());
    fs::write(group.join(limit), (megabytes << 20).to_string()).map_err(|error| format!("{limit}: {error}"))?;
    let join = format!("echo $$ > {} && exec \"$@\"", group.join("cgroup.procs").display());
    node.enter.extend(["sh", "-c", &join, "join"].map(str::to_owned));
    Ok(scarce)
}

impl Drop for Scarce {
    fn drop(&mut self) {
        let Scarce::Memory(group) = self else { return };
        // The last process leaves a little after it was reaped.
        for _ in 0..100 {
            if fs::remove_dir(&*group).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        eprintln!("{} is still there", group.display());
    }
}
