//! Two clusters in one network, of one group name and without a password (N16): who belongs to which, addresses that pass from
//! one to the other, and what must never come of it.

use std::ops::Range;

use redinit::core::id::Address;

use crate::server::{Disk, Persistence, Write};
use crate::world::{HostId, HostRole, MS, SEC, World};

/// In a write that a server of the second cluster took.
const MARK: Write = 1 << 31;
/// A pod that is told to stop has ended by then, or is killed.
const STOPS_WITHIN: u64 = 75 * SEC;

/// The mark in a write: which cluster took it from a client.
pub fn mark_in(write: Write) -> Write {
    write & MARK
}

/// An address passes from a pod of one cluster to one of the other.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    pub from: HostId,
    pub to: HostId,
    /// And the other's passes to the first.
    pub swap: bool,
    /// Both are told to stop; else they are killed.
    pub planned: bool,
    /// After how long each is started at its new address.
    pub back_after: (u64, u64),
    /// Each loses its volume, where others hold what it held.
    pub wiped: (bool, bool),
    /// So long the name of the first cluster still resolves to the address too.
    pub stale_for: u64,
}

/// A name that still resolves to where a pod was.
#[derive(Clone, Copy, Debug)]
pub struct Stale {
    cluster: usize,
    role: HostRole,
    at: Address,
    until: u64,
}

impl World {
    /// The first host of a cluster.
    fn first_of(&self, cluster: usize) -> HostId {
        let members = self.config.servers + self.config.sentinels;
        if cluster == 0 { 0 } else { members + 2 }
    }

    /// Hosts with servers of a cluster.
    pub fn servers_of(&self, cluster: usize) -> Range<HostId> {
        let first = self.first_of(cluster);
        first..first + self.config.servers
    }

    /// Hosts with Sentinels of a cluster.
    pub fn sentinels_of(&self, cluster: usize) -> Range<HostId> {
        let first = self.first_of(cluster) + self.config.servers;
        first..first + self.config.sentinels
    }

    /// Every host with a server.
    pub fn all_servers(&self) -> Vec<HostId> {
        (0..self.config.clusters).flat_map(|cluster| self.servers_of(cluster)).collect()
    }

    /// Every host with a Sentinel.
    pub fn all_sentinels(&self) -> Vec<HostId> {
        (0..self.config.clusters).flat_map(|cluster| self.sentinels_of(cluster)).collect()
    }

    /// Every host with a supervisor.
    pub fn pods(&self) -> Vec<HostId> {
        let of = |cluster| self.servers_of(cluster).chain(self.sentinels_of(cluster));
        (0..self.config.clusters).flat_map(of).collect()
    }

    /// Of which cluster this host is.
    pub fn cluster_of(&self, h: HostId) -> usize {
        usize::from(h > self.client_host())
    }

    /// Under which name its cluster's master goes.
    pub fn group_of(&self, h: HostId) -> usize {
        if self.config.other_name { self.cluster_of(h) } else { 0 }
    }

    /// What a write carries that a server on this host took.
    pub fn mark_of(&self, h: HostId) -> Write {
        if self.cluster_of(h) == 0 { 0 } else { MARK }
    }

    /// A number for the pod's name.
    pub fn name_of(&self, h: HostId) -> u64 {
        let inside = h - self.first_of(self.cluster_of(h));
        if self.config.same_names { inside as u64 } else { h as u64 }
    }

    /// The server that comes so many further in the same cluster.
    pub fn server_after(&self, h: HostId, further: usize) -> HostId {
        let servers = self.servers_of(self.cluster_of(h));
        servers.start + (h - servers.start + further) % self.config.servers
    }

    /// Faults are drawn from this cluster's members.
    pub fn in_cluster<R>(&mut self, cluster: usize, draw: impl FnOnce(&mut World) -> R) -> R {
        let before = std::mem::replace(&mut self.focus, cluster);
        let result = draw(self);
        self.focus = before;
        result
    }

    /// An address of the cluster that this host does not belong to.
    pub fn address_of_the_other(&mut self, h: HostId) -> Address {
        let of = self.servers_of(1 - self.cluster_of(h));
        let which = of.start + self.rng.below(self.config.servers as u64) as usize;
        self.address(which)
    }

    /// To what else the name of these still resolves.
    pub fn stale_names(&self, cluster: usize, role: HostRole) -> impl Iterator<Item = Address> {
        let now = self.now;
        let stale = self.stale.iter();
        stale.filter(move |it| it.cluster == cluster && it.role == role && it.until > now).map(|it| it.at)
    }

    /// Both pods end, then the address passes, then both are started.
    pub fn address_passes(&mut self, pass: Pass) {
        let both = [pass.from, pass.to];
        if both.iter().any(|&h| self.hosts[h].moving) {
            return;
        }
        for h in both {
            self.hosts[h].moving = true;
            if pass.planned { self.stop_pod(h) } else { self.kill_pod(h) }
        }
        self.pass_when_ended(pass, self.now + STOPS_WITHIN);
    }

    fn pass_when_ended(&mut self, pass: Pass, until: u64) {
        let both = [pass.from, pass.to];
        if self.now < until && both.iter().any(|&h| self.hosts[h].sup_proc.alive) {
            let again = self.now + 20 * MS;
            return self.at(again, Box::new(move |w| w.pass_when_ended(pass, until)));
        }
        for h in both {
            self.kill_pod(h);
        }
        let at = self.address(pass.from);
        let (old, role) = (self.hosts[pass.from].ip, self.hosts[pass.from].role);
        if pass.swap {
            self.hosts[pass.from].ip = self.hosts[pass.to].ip;
        } else {
            self.readdress(pass.from);
        }
        self.hosts[pass.to].ip = old;
        let until = self.now + pass.stale_for;
        self.stale.push(Stale { cluster: self.cluster_of(pass.from), role, at, until });
        crate::say!(self, "{at} is {}'s now, was {}'s", self.hosts[pass.to].name, self.hosts[pass.from].name);
        for (h, after, wiped) in
            [(pass.from, pass.back_after.0, pass.wiped.0), (pass.to, pass.back_after.1, pass.wiped.1)]
        {
            self.hosts[h].moving = false;
            if wiped {
                self.lose_volume(h);
            }
            self.pod_returns(h, after);
        }
    }

    fn lose_volume(&mut self, h: HostId) {
        if self.hosts[h].role == HostRole::Server && !self.held_beside(h) {
            return;
        }
        self.hosts[h].disk = Disk::default();
        self.hosts[h].sentinel_disk = None;
        self.hosts[h].sup.saved = None;
    }

    /// A pass that nobody would call wrong: as pods are rescheduled every day. `None` where one of the two holds all there is.
    pub fn a_pass(&mut self, planned: bool) -> Option<Pass> {
        let cluster = self.rng.below(2) as usize;
        let (from, to) = match self.rng.below(3) {
            0 => (self.any_of(self.sentinels_of(cluster)), self.any_of(self.sentinels_of(1 - cluster))),
            _ => (self.mostly_the_master(cluster), self.mostly_the_master(1 - cluster)),
        };
        let back_after = (self.a_start(), self.a_start());
        let wiped = (self.rng.chance(250), self.rng.chance(250));
        let pass = Pass {
            from,
            to,
            swap: self.rng.chance(400),
            planned: planned || self.rng.chance(400),
            back_after,
            wiped,
            stale_for: if self.rng.chance(500) { self.rng.below(30 * SEC) } else { 0 },
        };
        let alone = |h: HostId| self.hosts[h].role == HostRole::Server && !self.held_beside(h);
        let volatile = self.config.persistence == Persistence::None;
        (!volatile || ![from, to].into_iter().any(alone)).then_some(pass)
    }

    fn any_of(&mut self, hosts: Range<HostId>) -> HostId {
        hosts.start + self.rng.below(hosts.len() as u64) as usize
    }

    fn mostly_the_master(&mut self, cluster: usize) -> HostId {
        let master = self.in_cluster(cluster, |w| w.master());
        let any = self.any_of(self.servers_of(cluster));
        master.filter(|_| self.rng.chance(500)).unwrap_or(any)
    }

    fn a_start(&mut self) -> u64 {
        if self.rng.chance(500) { self.rng.range(20 * MS, 500 * MS) } else { self.rng.range(500 * MS, 10 * SEC) }
    }
}

/// No server ever holds a write of the other cluster. But an engine goes on asking its master's address by itself: whose
/// supervisor stands still when that passes cannot stop it.
pub fn check_data(w: &mut World, h: HostId, data: &[Write], from: HostId) {
    let sup = &w.hosts[h].sup_proc;
    let asleep = sup.frozen || sup.thawed_at > 0 && w.now - sup.thawed_at < SEC;
    if w.config.clusters == 1 || asleep {
        return;
    }
    let ours = w.mark_of(h);
    let foreign = data.iter().filter(|&&write| write != 0 && mark_in(write) != ours).count();
    if foreign > 0 {
        let (name, from) = (w.hosts[h].name.clone(), w.hosts[from].name.clone());
        w.violate(format!("{name} takes {foreign} writes of the other cluster, in a sync from {from}"));
    }
}

/// No Sentinel lists anybody of the other cluster.
pub fn check_apart(w: &World) -> Result<(), String> {
    if w.config.clusters == 1 {
        return Ok(());
    }
    for t in w.all_sentinels() {
        let name = &w.hosts[t].name;
        let Some(row) = w.sentinel(t).and_then(|s| s.m.as_ref()) else {
            return Err(format!("{name} monitors nothing"));
        };
        let listed = row.replicas.keys().copied().chain(row.sentinels.values().map(|s| s.addr)).chain([row.named()]);
        let foreign = |at: &Address| w.host_at(*at).is_some_and(|h| w.cluster_of(h) != w.cluster_of(t));
        if let Some(at) = listed.into_iter().find(foreign) {
            return Err(format!("{name} lists {at}, which is of the other cluster"));
        }
    }
    Ok(())
}
