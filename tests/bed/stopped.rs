//! Stops single threads of a process that was started here, and gives it a wall clock of its own: what no signal can do.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// A process's main thread, stopped while its other threads run on. It goes on when this is dropped, or when the thread
/// that stopped it ends.
pub struct MainThread(Pid);

impl MainThread {
    /// Stops it. Only the thread that asks may let it go on.
    pub fn stop(process: Pid) -> Self {
        ptrace::seize(process, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(process).unwrap();
        // Some signal may have come first; with that it is stopped as well.
        let status = waitpid(process, Some(WaitPidFlag::__WALL)).unwrap();
        assert!(matches!(status, WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..)), "{status:?}");
        MainThread(process)
    }
}

impl Drop for MainThread {
    fn drop(&mut self) {
        ptrace::detach(self.0, None).unwrap();
    }
}

/// Is tracing allowed here? Asked by trying.
pub fn tracing_works() -> bool {
    let mut child = Command::new("sleep").arg("5").spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let works = ptrace::seize(pid, ptrace::Options::empty()).is_ok();
    child.kill().unwrap();
    child.wait().unwrap();
    works
}

/// A library that shifts the wall clock of `redinit`, and of nothing that it starts, by the seconds in a file.
const SHIFT: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static volatile long none, *shift = &none;
__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("WALL_CLOCK_SHIFT"), O_RDONLY);
    if (file < 0 || strcmp(program_invocation_short_name, "redinit")) return;
    void *at = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    if (at != MAP_FAILED) shift = at;
    close(file);
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *shift;
    return result;
}
"#;

/// A wall clock that jumps when told to.
pub struct WallClock {
    library: PathBuf,
    shift: PathBuf,
}

impl WallClock {
    /// Builds it; `None` without a C compiler.
    pub fn build(dir: &Path) -> Option<Self> {
        let (source, library, shift) = (dir.join("clock.c"), dir.join("clock.so"), dir.join("clock.shift"));
        std::fs::write(&source, SHIFT).unwrap();
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).status();
        built.ok().filter(std::process::ExitStatus::success)?;
        std::fs::write(&shift, 0i64.to_ne_bytes()).unwrap();
        Some(WallClock { library, shift })
    }

    /// What a process needs in its environment to live by this clock.
    pub fn environment(&self) -> [(String, String); 2] {
        [("LD_PRELOAD", &self.library), ("WALL_CLOCK_SHIFT", &self.shift)]
            .map(|(name, path)| (name.to_owned(), path.display().to_string()))
    }

    /// Jumps to so many seconds beside the true time.
    pub fn jump(&self, seconds: i64) {
        File::options().write(true).open(&self.shift).unwrap().write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }
}
