//! Addresses where a server of another cluster answers: looked at, and counted, followed and obeyed nowhere, until the
//! supervisor there shows our id. A pod's address comes round again, and the next pod's cluster may have our name (N1 to N6).

use super::cluster::{ClusterId, Identity, Kinship, kinship};
use super::evidence::{Evidence, FORGET, MOST_TARGETS, ServerEntry};
use super::id::{Address, Epoch, SentinelId};
use super::kin::{DOUBTED_FOR, Kin, Proof};
use super::moment::Moment;
use super::seen::{Failure, SentinelRow, SentinelSeen, ServerSeen};

impl Evidence {
    /// Our id, where it is settled: only then is anybody a stranger.
    pub(super) fn settled(&self) -> Option<&Identity> {
        self.cluster.as_ref().filter(|identity| identity.is_settled())
    }

    /// We know our id now; everybody is judged by it.
    pub(super) fn set_cluster(&mut self, identity: Identity, me: Address, now: Moment) {
        self.counted.set(None);
        self.settled_at = Some(now).filter(|_| identity.is_settled());
        self.cluster = Some(identity);
        let all: Vec<Address> = self.servers.keys().chain(self.strangers.keys()).copied().collect();
        for at in all {
            self.sort_in(at);
        }
        let foreign: Vec<Address> =
            self.sentinels.iter().filter(|(at, it)| **at != me && self.is_foreign(it)).map(|(at, _)| *at).collect();
        for at in foreign {
            if let Some(entry) = self.sentinels.get_mut(&at) {
                let asked = entry.seen.asked().unwrap_or(now);
                entry.seen.note(asked, Err(Failure::Nonsense));
            }
        }
    }

    fn is_foreign(&self, entry: &super::evidence::SentinelEntry) -> bool {
        entry.seen.remembered().is_some_and(|(seen, _)| self.is_foreign_sentinel(&seen.id))
    }

    /// Its id tells another cluster than ours.
    pub(super) fn is_foreign_sentinel(&self, id: &SentinelId) -> bool {
        match (self.settled(), id.cluster()) {
            (Some(ours), Some(theirs)) => ours.id.tag() != theirs,
            _ => false,
        }
    }

    /// Those of another cluster that answer at addresses of our Sentinels, and that nobody has been told of.
    pub(super) fn foreign_sentinels(&self, me: Address) -> Vec<(Address, SentinelId)> {
        let foreign = self.sentinels.iter().filter(|(at, _)| **at != me).filter_map(|(at, entry)| {
            let id = entry.id_there.as_ref().filter(|id| entry.told_of.as_ref() != Some(*id))?;
            self.is_foreign_sentinel(id).then(|| (*at, id.clone()))
        });
        foreign.collect()
    }

    /// Another one than the listed one answers there, and it is none of ours: its pings keep the dead entry alive (N8).
    pub(super) fn is_misplaced(&self, row: &SentinelRow) -> bool {
        let Some(entry) = self.sentinels.get(&row.address).filter(|_| self.settled().is_some()) else { return false };
        let another = entry.id_there.as_ref().filter(|id| row.id.as_ref() != Some(*id));
        let names_none = entry.seen.remembered().is_none_or(|(seen, _)| seen.master.is_none());
        another.is_some_and(|id| self.is_foreign_sentinel(id) || id.cluster().is_none() && names_none)
    }

    /// None of ours: a place in our Sentinels' lists has passed to one that does not know our group (N8). Where nobody lists it
    /// any more and no setting names it, that it knows no master and tells no cluster is enough.
    pub(super) fn is_a_bystander(&self, at: Address, now: Moment) -> bool {
        let Some(entry) = self.sentinels.get(&at).filter(|_| self.settled().is_some()) else { return false };
        let tells_none = entry.id_there.as_ref().is_some_and(|id| id.cluster().is_none());
        let bare = entry.seen.view(now).is_some_and(|seen| seen.master.is_none());
        if !tells_none || !bare {
            return false;
        }
        let rows = self.sentinels.values().filter_map(|entry| entry.seen.view(now)?.rows.as_ref());
        let rows = rows.flat_map(|rows| &rows.sentinels).filter(|row| row.address == at);
        let (misplaced, at_home): (Vec<_>, Vec<_>) = rows.partition(|row| self.is_misplaced(row));
        at_home.is_empty() && (!misplaced.is_empty() || !entry.configured)
    }

    /// Its word counts: it names nobody of another cluster. One that does has been taken over by that cluster's Sentinels.
    pub(super) fn takes_part(&self, seen: &SentinelSeen) -> bool {
        self.strangers.is_empty() || !seen.master.as_ref().is_some_and(|row| self.is_stranger(row.address))
    }

    /// The stranger that a majority of our Sentinels names, where that is one.
    pub(super) fn stranger_named_by_the_most(&self, quorum: usize, now: Moment) -> Option<(Address, Epoch)> {
        let named = self.sentinels.values().filter_map(|entry| entry.seen.view(now)?.master.as_ref());
        let named: Vec<_> = named.filter(|row| self.is_stranger(row.address)).collect();
        let first = named.first()?;
        let same = named.iter().filter(|row| row.address == first.address);
        let epoch = same.clone().map(|row| row.epoch).max()?;
        (same.count() >= self.sentinel_majority(quorum, now)).then_some((first.address, epoch))
    }

    /// Somebody of another cluster answers there.
    pub(super) fn is_stranger(&self, at: Address) -> bool {
        self.strangers.contains_key(&at)
    }

    /// It is known to be of our cluster; as long as we have no id, everybody is.
    pub(super) fn is_one_of_ours(&self, entry: &ServerEntry) -> bool {
        self.settled().is_none() || entry.kin == Kin::Member
    }

    /// Takes what a Sentinel lists of another cluster out of its rows, and keeps it for its own supervisor.
    pub(super) fn strip(&self, seen: &mut SentinelSeen) -> Option<Alien> {
        self.settled()?;
        let rows = seen.rows.as_mut()?;
        let mut alien = Alien::default();
        rows.sentinels.retain(|row| {
            let foreign = row.id.as_ref().filter(|id| self.is_foreign_sentinel(id));
            alien.sentinels.extend(foreign.cloned());
            foreign.is_none()
        });
        rows.replicas.retain(|row| {
            let foreign = self.is_stranger(row.address);
            alien.replicas.extend(foreign.then_some(row.address));
            !foreign
        });
        Some(alien)
    }

    /// What has been seen of this server has changed: is it one of us?
    pub(super) fn sort_in(&mut self, at: Address) {
        let Some(entry) = self.servers.get(&at).or_else(|| self.strangers.get(&at)) else { return };
        let answer = entry.supervisor.remembered();
        let answer = answer.map(|(seen, asked)| (kinship(self.settled(), seen.cluster.as_ref()), asked));
        // Who showed our id before we had settled it, and is gone by then, was one of ours (B4).
        let counts = |kinship| kinship == Kinship::Ours || entry.supervisor.failing().is_none();
        let mut proof = entry.proof.clone();
        if let Some((kinship, asked)) = answer.filter(|(kinship, asked)| *asked >= proof.since() && counts(*kinship)) {
            proof.note_kinship(kinship, asked);
        }
        let kin = self.kin_of(at, entry, &proof);
        let place = match kin {
            Kin::Foreign(_) if self.strangers.len() < MOST_TARGETS => self.servers.remove(&at).inspect(|_| {
                self.found.push(at);
            }),
            Kin::Member => self.strangers.remove(&at),
            _ => None,
        };
        let stranger = matches!(kin, Kin::Foreign(_));
        if let Some(entry) = place {
            self.counted.set(None);
            if stranger {
                // What was listed with it and has not answered is as little ours.
                self.servers.retain(|_, it| it.listed_under != Some(at) || it.server.remembered().is_some());
            }
            if stranger { &mut self.strangers } else { &mut self.servers }.insert(at, entry);
        }
        if let Some(entry) = self.servers.get_mut(&at) {
            (entry.kin, entry.proof) = (kin, proof);
        } else if let Some(entry) = self.strangers.get_mut(&at) {
            (entry.kin, entry.proof) = (kin, proof);
        }
    }

    /// By the id that its supervisor shows; without one by its data.
    fn kin_of(&self, at: Address, entry: &ServerEntry, proof: &Proof) -> Kin {
        if self.settled().is_none() {
            return Kin::Member;
        }
        if entry.supervisor.asked().is_none_or(|asked| asked < proof.since()) {
            return Kin::Unasked;
        }
        let answer = entry.supervisor.remembered().filter(|_| entry.supervisor.failing().is_none());
        if let Some((seen, asked)) = answer {
            match kinship(self.settled(), seen.cluster.as_ref()) {
                Kinship::Ours => return Kin::Member,
                Kinship::Foreign if proof.doubted.is_some_and(|since| asked.since(since) < DOUBTED_FOR) => {
                    return Kin::Unasked;
                }
                Kinship::Foreign => return Kin::Foreign(seen.cluster.as_ref().map(|theirs| theirs.id.clone())),
                Kinship::Unknown => {}
            }
        }
        let Some((seen, _)) = entry.server.remembered() else { return Kin::Unasked };
        let adopted = self.adopted.get(&at).is_some_and(|run_id| *run_id == seen.run_id);
        if adopted || proof.is_proved() || self.follows_one_of_us(seen) || self.shares_our_past(seen) {
            return Kin::Member;
        }
        // It holds nothing that could be taken for ours; or its supervisor is of a version that knows no ids, at an address
        // that the settings give. A bare master that holds nothing has no part in what we hold: nobody gives way to it.
        let astray = seen.role.is_master() || seen.role.master().is_some_and(|at| self.strangers.contains_key(&at));
        let bare_elsewhere = entry.supervised == Some(false) && astray && self.anybody_holds_data();
        let empty = seen.has_data == Some(false) && !bare_elsewhere;
        if empty || answer.is_some() && entry.configured {
            return Kin::Member;
        }
        // A master of ours that was restarted in place has a new history, and its supervisor may be out of reach (M17): could
        // not ask is never no.
        if proof.ours_at.is_some() && entry.supervised == Some(true) && seen.role.is_master() {
            return Kin::Unasked;
        }
        Kin::Foreign(None)
    }

    fn follows_one_of_us(&self, seen: &ServerSeen) -> bool {
        seen.role
            .master()
            .is_some_and(|at| self.is_ours(at) || self.servers.get(&at).is_some_and(|entry| entry.kin == Kin::Member))
    }

    /// What is known of the members that have shown our id.
    fn proved_members(&self) -> impl Iterator<Item = &ServerSeen> {
        let members = self.servers.values().filter(|entry| entry.proof.is_proved());
        members.filter_map(|entry| entry.server.remembered()).map(|(seen, _)| seen)
    }

    /// We do, or one of them.
    fn anybody_holds_data(&self) -> bool {
        self.own.histories().next().is_some() || self.proved_members().any(|seen| seen.has_data == Some(true))
    }

    /// Its history is related to ours or to a member's; or nobody holds anything to compare it with.
    fn shares_our_past(&self, seen: &ServerSeen) -> bool {
        let members = self.proved_members().map(|seen| &seen.history);
        let mut known = self.own.histories().chain(members).peekable();
        known.peek().is_none() || known.any(|history| history.shares_a_past(&seen.history))
    }

    /// Those of whom nobody has been told yet.
    pub(super) fn take_found(&mut self) -> Vec<(Address, Option<ClusterId>)> {
        let found = std::mem::take(&mut self.found);
        found.into_iter().filter_map(|at| Some((at, self.strangers.get(&at)?.theirs()))).collect()
    }

    /// Its supervisor has yet to be asked: at once, since nobody follows it before that.
    pub(super) fn is_unasked(&self, at: Address) -> bool {
        self.settled().is_some() && self.servers.get(&at).is_some_and(|entry| entry.kin == Kin::Unasked)
    }

    /// The id of the stranger there, where it tells one; `None` where nobody strange is.
    pub(super) fn stranger(&self, at: Address) -> Option<Option<ClusterId>> {
        self.strangers.get(&at).map(ServerEntry::theirs)
    }

    /// A person says that this one is ours: this process, not whoever has its address later.
    pub(super) fn adopt(&mut self, at: Address) {
        let process = self.strangers.get(&at).and_then(|entry| entry.server.remembered());
        if let Some(run_id) = process.map(|(seen, _)| seen.run_id.clone()) {
            self.adopted.insert(at, run_id);
        }
        self.sort_in(at);
    }

    /// For `/status`.
    pub(super) fn strangers_shown(&self) -> Vec<(Address, Option<String>)> {
        let shown = |entry: &ServerEntry| entry.theirs().map(|id| id.to_string());
        self.strangers.iter().map(|(at, entry)| (*at, shown(entry))).collect()
    }

    /// Who has been silent for long and is listed by nobody is no stranger any more: nobody is there.
    pub(super) fn forget_strangers(&mut self, now: Moment) {
        let listed = |at: &Address| {
            let rows = self.sentinels.values().filter_map(|entry| entry.alien.as_ref());
            rows.into_iter().any(|alien| alien.replicas.contains(at))
        };
        let silent: Vec<Address> = self
            .strangers
            .iter()
            .filter(|(at, entry)| {
                let heard = entry.supervisor.remembered().map(|(_, asked)| asked);
                let heard = heard.max(entry.server.remembered().map(|(_, asked)| asked));
                heard.is_none_or(|asked| now.since(asked) > FORGET) && !listed(at)
            })
            .map(|(at, _)| *at)
            .collect();
        for at in silent {
            self.strangers.remove(&at);
            self.adopted.remove(&at);
        }
    }
}

impl ServerEntry {
    /// The id of the other cluster, where it tells one.
    fn theirs(&self) -> Option<ClusterId> {
        match &self.kin {
            Kin::Foreign(id) => id.clone(),
            Kin::Member | Kin::Unasked => None,
        }
    }
}

/// What a Sentinel lists of another cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alien {
    /// Sentinels.
    pub(super) sentinels: Vec<SentinelId>,
    /// Replicas.
    pub(super) replicas: Vec<Address>,
}
