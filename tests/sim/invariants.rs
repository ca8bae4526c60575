//! What must always be true (design section 2), each rule a function with its message.

use redinit::core::id::Address;
use redinit::core::label::{Labels, PodRole};

use crate::net::Cut;
use crate::server::{LinkState, Role, Write};
use crate::world::{HostId, SEC, World};

/// What the referee remembers.
#[derive(Default)]
pub struct Watch {
    /// SIGTERMs: host, when, generation of the supervisor.
    pub stops: Vec<(HostId, u64, u32)>,
    /// When a cut last touched a host.
    pub cut_at: std::collections::BTreeMap<HostId, u64>,
    /// Rules are for supervised servers; worlds of bare servers switch them off.
    pub off: bool,
    pub handled: std::collections::BTreeMap<&'static str, u64>,
    pub switches: u32,
    pub converts: u32,
    pub proposals: u32,
}

impl Watch {
    /// Counts what Sentinels do.
    pub fn sentinel_event(&mut self, name: &'static str) {
        match name {
            "+switch-master" => self.switches += 1,
            "+convert-to-slave" => self.converts += 1,
            "+selected-slave" => self.proposals += 1,
            _ => {}
        }
    }
}

/// After every event that touched a server.
pub fn check_step(w: &mut World) {
    if w.watch.off {
        return;
    }
    for cluster in 0..w.config.clusters {
        one_master_that_may_acknowledge(w, cluster);
    }
}

/// Invariants 4 to 6: never two masters that could acknowledge a write.
fn one_master_that_may_acknowledge(w: &mut World, cluster: usize) {
    let leading: Vec<HostId> = w
        .servers_of(cluster)
        .filter(|&h| w.server(h).is_some_and(|s| s.may_acknowledge()))
        .filter(|&h| !excused(w, h) && !sleeps_for_good_reason(w, h))
        .collect();
    if leading.len() > 1 {
        let names: Vec<&str> = leading.iter().map(|&h| w.hosts[h].name.as_str()).collect();
        w.violate(format!("two masters that may acknowledge writes: {names:?}"));
    }
}

/// A frozen server acknowledges nothing now. It may when it wakes, and what waits in its sockets may come before our
/// fence: while its supervisor can be asked, that one must have said no (L2). Where nobody can ask it, silence decides.
fn sleeps_for_good_reason(w: &World, h: HostId) -> bool {
    let host = &w.hosts[h];
    let cut = w.watch.cut_at.get(&h).is_some_and(|&at| w.now - at < 90 * SEC);
    host.child_proc.frozen && (host.sup_proc.frozen || host.sup_proc.thawed_at > 0 || cut)
}

/// A machine that was frozen as a whole fences itself when it wakes, and cannot before (D6, P44); nor can a supervisor
/// that stands still when its child wakes.
fn excused(w: &World, h: HostId) -> bool {
    let host = &w.hosts[h];
    let sup = host.sup_proc.frozen || (host.sup_proc.thawed_at > 0 && w.now - host.sup_proc.thawed_at < SEC);
    let woke = host.child_proc.thawed_at;
    let child = woke > 0 && (w.now - woke < SEC || woke >= host.sup_proc.frozen_at);
    let cut = w.watch.cut_at.get(&h).is_some_and(|&at| w.now - at < 90 * SEC);
    sup && (child || cut)
}

/// Invariant 8 and "no replica emptied": what a full resync discards was kept first.
pub fn check_discard(w: &mut World, r: HostId, m: HostId, data: &[Write]) {
    if w.watch.off {
        return;
    }
    let Some(s) = w.server(r) else { return };
    if data.len() >= s.data.len() && data[..s.data.len()] == s.data[..] {
        return;
    }
    let mut held: std::collections::HashSet<Write> = data.iter().copied().collect();
    let gone: Vec<Write> = s.data.iter().filter(|x| !held.contains(x)).copied().collect();
    if gone.is_empty() {
        return;
    }
    let (name, from) = (w.hosts[r].name.clone(), w.hosts[m].name.clone());
    if data.is_empty() {
        w.violate(format!("{name} is emptied by a full sync from {from}: {} writes", gone.len()));
        return;
    }
    // Kept here, or somewhere else: whoever discards the last copy must have kept it.
    for h in w.servers_of(w.cluster_of(r)) {
        held.extend(w.hosts[h].disk.kept.iter().flatten());
        if h != r {
            held.extend(w.server(h).map_or(&w.hosts[h].disk.data, |s| &s.data));
        }
    }
    let lost = gone.iter().filter(|x| !held.contains(x)).count();
    if lost > 0 {
        w.violate(format!(
            "{name} discards the last copy of {lost} writes in a full sync from {from}, nobody kept them"
        ));
    }
}

/// H1: never a replica of itself.
pub fn check_follow(w: &mut World, h: HostId, to: Address) {
    if to == w.address(h) {
        w.violate(format!("{} is told to follow itself", w.hosts[h].name));
    }
    if to == crate::lies::foreigner() {
        w.violate(format!("{} is told to follow an engine of nobody's cluster", w.hosts[h].name));
    }
    if to == crate::looks::service(crate::world::HostRole::Server) {
        w.violate(format!("{} is told to follow the address of a Service", w.hosts[h].name));
    }
}

/// Once a second: stops within their grace.
pub fn check_second(w: &mut World) {
    let grace = w.config.grace_s * SEC;
    let late = w
        .watch
        .stops
        .iter()
        .find(|&&(h, at, g)| {
            let p = &w.hosts[h].sup_proc;
            p.alive && p.generation == g && w.now - at > grace + p.thawed_at.saturating_sub(at)
        })
        .copied();
    if let Some((h, at, _)) = late {
        let name = w.hosts[h].name.clone();
        w.violate(format!("{name} has not ended {} s after SIGTERM", (w.now - at) / SEC));
    }
    let now = w.now;
    for h in w.all_servers() {
        let cut = w.hosts[h].silent
            || (0..w.hosts.len()).any(|x| w.net.cut(h, x) != Cut::Open || w.net.cut(x, h) != Cut::Open);
        if cut {
            w.watch.cut_at.insert(h, now);
        }
    }
}

/// The picture after everything was healed; the error says what is still missing.
pub fn settled(w: &World) -> Result<HostId, String> {
    let masters: Result<Vec<HostId>, String> = (0..w.config.clusters).map(|cluster| settled_in(w, cluster)).collect();
    crate::clusters::check_apart(w)?;
    Ok(masters?[w.focus])
}

fn settled_in(w: &World, cluster: usize) -> Result<HostId, String> {
    let up: Vec<HostId> = w.servers_of(cluster).filter(|&h| w.hosts[h].sup_proc.alive).collect();
    let masters: Vec<HostId> = up.iter().copied().filter(|&h| w.server(h).is_some_and(|s| s.is_master())).collect();
    let &[m] = masters.as_slice() else { return Err(format!("masters: {masters:?}")) };
    let master = w.address(m);
    for &h in &up {
        let name = &w.hosts[h].name;
        let Some(s) = w.server(h) else { return Err(format!("{name} has no child")) };
        if !s.door {
            return Err(format!("{name}: its door is shut"));
        }
        if s.paused_until > w.now {
            return Err(format!("{name} is paused"));
        }
        if s.info_refused {
            return Err(format!("{name} is still quickened"));
        }
        if s.priority == 0 {
            return Err(format!("{name} is still at priority 0"));
        }
        if h == m && s.fenced() {
            return Err(format!("{name} is fenced"));
        }
        if h != m && (s.role != Role::Replica(Some(master)) || s.link != LinkState::Up) {
            return Err(format!("{name} does not follow {master}: {:?} {:?}", s.role, s.link));
        }
    }
    for t in w.sentinels_of(cluster) {
        let name = &w.hosts[t].name;
        let Some(s) = w.sentinel(t) else { return Err(format!("{name} does not run")) };
        let Some(row) = &s.m else { return Err(format!("{name} monitors nothing")) };
        if row.named() != master {
            return Err(format!("{name} names {}", row.named()));
        }
    }
    if w.config.writers > 0 && !w.clients.stopped && w.now - w.clients.last_ack[cluster] > SEC {
        return Err("writers get nothing acknowledged".into());
    }
    for &h in &up {
        if let Some(st) = w.status(h)
            && !st.probes.ready.is_yes()
        {
            return Err(format!("{} is not ready: {}", w.hosts[h].name, st.probes.ready.reason()));
        }
    }
    let carrying = w.pods.carrying(PodRole::Master);
    if w.config.labels == Labels::On && carrying != [m] {
        return Err(format!("the pods {carrying:?} carry `master`, and {} leads", w.hosts[m].name));
    }
    Ok(m)
}
