//! Processes as the kernel sees them: alive, frozen, with what waits in their sockets.

use crate::world::{HostId, Job, World};

/// One of the two processes of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Sup,
    Child,
}

/// A process as the kernel sees it.
#[derive(Default)]
pub struct Proc {
    pub alive: bool,
    pub frozen: bool,
    /// Where a fault froze it: until then.
    pub frozen_until: u64,
    /// New at every start: what belongs to an earlier process finds nobody.
    pub generation: u32,
    pub frozen_at: u64,
    pub thawed_at: u64,
    inbox: Vec<Job>,
}

impl World {
    pub fn process(&mut self, h: HostId, which: Which) -> &mut Proc {
        match which {
            Which::Sup => &mut self.hosts[h].sup_proc,
            Which::Child => &mut self.hosts[h].child_proc,
        }
    }

    /// Schedules a job of a process: nothing where that process has ended, later where it is frozen.
    pub fn at_process(&mut self, at: u64, h: HostId, which: Which, job: Job) {
        let generation = self.process(h, which).generation;
        self.at(
            at,
            Box::new(move |w| {
                w.post(h, which, Some(generation), job);
            }),
        );
    }

    /// Hands a job to a process; gives it back where nobody is there (a reset).
    pub fn hand(&mut self, h: HostId, which: Which, generation: Option<u32>, job: Job) -> Result<(), Job> {
        let p = self.process(h, which);
        if !p.alive || generation.is_some_and(|g| g != p.generation) {
            return Err(job);
        }
        if p.frozen {
            p.inbox.push(job);
        } else {
            job(self);
        }
        Ok(())
    }

    /// As [`World::hand`], where nobody needs to know that nobody is there.
    pub fn post(&mut self, h: HostId, which: Which, generation: Option<u32>, job: Job) {
        drop(self.hand(h, which, generation, job));
    }

    /// SIGSTOP.
    pub fn freeze(&mut self, h: HostId, which: Which) {
        crate::say!(self, "FREEZE {} {which:?}", self.hosts[h].name);
        let now = self.now;
        let p = self.process(h, which);
        if !p.frozen {
            p.frozen_at = now;
        }
        p.frozen = true;
    }

    /// SIGCONT: what waited in its sockets is done now, in order.
    pub fn thaw(&mut self, h: HostId, which: Which) {
        let now = self.now;
        let p = self.process(h, which);
        if !p.frozen {
            return;
        }
        p.frozen = false;
        p.thawed_at = now;
        let generation = p.generation;
        let inbox = std::mem::take(&mut p.inbox);
        crate::say!(self, "THAW {} {which:?} ({} waiting)", self.hosts[h].name, inbox.len());
        for job in inbox {
            self.post(h, which, Some(generation), job);
        }
    }

    /// Starts a process (its kernel side).
    pub fn begin_process(&mut self, h: HostId, which: Which) -> u32 {
        let p = self.process(h, which);
        p.alive = true;
        p.frozen = false;
        p.frozen_until = 0;
        p.generation += 1;
        p.inbox.clear();
        p.generation
    }

    /// Ends a process (its kernel side).
    pub fn end_process(&mut self, h: HostId, which: Which) {
        let p = self.process(h, which);
        p.alive = false;
        p.frozen = false;
        p.inbox.clear();
        self.unchecked = true;
    }
}
