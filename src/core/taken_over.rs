//! What of another cluster our own Sentinel lists or names. Sentinels merge by themselves: one that still watches an address
//! which another cluster's server has got hears that cluster's hello there, and takes its master where the epoch is higher
//! (N1 to N6). Its supervisor takes it back.

use std::time::Duration;

use super::Supervisor;
use super::action::{Level, Monitor, SentinelFile};
use super::foreign::Alien;
use super::id::{Address, Epoch, SentinelId};
use super::moment::Moment;

/// One Sentinel after the other: those that restart at once are no majority when the master dies just then.
const APART: Duration = Duration::from_secs(1);

/// What is kept in mind of it.
#[derive(Clone, Debug, Default)]
pub(super) struct TakenOver {
    /// Whom it named last that was one of us.
    ours: Option<(Address, Epoch)>,
    /// Since when it lists somebody of another cluster, or shows an id that is not of this one.
    since: Option<Moment>,
    /// Since when it names somebody of another cluster.
    named: Option<Moment>,
    /// Since when it has listed somebody of another cluster, a failover running or not.
    listed: Option<Moment>,
    /// That nobody of ours is known to lead has been said.
    said: bool,
}

impl Supervisor {
    /// One turn: takes our Sentinel back, or drops what is not ours. Nothing else is put right before that.
    pub(super) fn taken_over_turn(&mut self) -> bool {
        if self.evidence.settled().is_none() {
            return false;
        }
        let Some((named, epoch)) = self.own_row().map(|row| (row.address, row.epoch)) else { return false };
        if self.evidence.is_stranger(named) {
            let since = *self.sentinel.taken_over.named.get_or_insert(self.now);
            self.take_it_back(named, since);
            return true;
        }
        let answers = |it: &super::evidence::ServerEntry| it.server.failing().is_none();
        if self.evidence.is_unasked(named) && self.evidence.servers.get(&named).is_some_and(answers) {
            return false;
        }
        (self.sentinel.taken_over.said, self.sentinel.taken_over.named) = (false, None);
        if self.is_known_member(named) {
            self.sentinel.taken_over.ours = Some((named, epoch));
        }
        self.drop_what_is_alien();
        false
    }

    /// Not for ever: it may have chosen the one of another cluster, which refuses that again and again; or whom it has chosen
    /// has died, which a Sentinel never sees (N16).
    fn a_failover_is_waited_for(&mut self, since: Moment) -> bool {
        let ends = since + self.rules.w();
        let waits = self.a_failover_runs() && self.now < ends;
        if waits {
            self.out.wake_at(ends);
        }
        waits
    }

    fn take_it_back(&mut self, named: Address, since: Moment) {
        // Whom another one is about to name would be deposed by our word at a higher epoch.
        if self.a_failover_is_waited_for(since) {
            return;
        }
        let Some(master) = self.master_of_our_own() else {
            if !std::mem::replace(&mut self.sentinel.taken_over.said, true) {
                let reason =
                    format!("this Sentinel names {named} of another cluster, and no master of this one is known");
                self.decide(Level::Error, "taken-over", Some(named), reason);
            }
            return;
        };
        let epoch = self.epoch_to_be_taken_back_at(named);
        let Alien { sentinels, mut replicas } = self.alien();
        // Whoever of ours is dropped with them is found again in the master's own list.
        replicas.extend(self.listed_replicas().filter(|at| !self.is_known_member(*at)));
        replicas.push(named);
        let file = SentinelFile {
            monitor: Some(Monitor { master, epoch }),
            forget: sentinels,
            forget_replicas: replicas,
            ..SentinelFile::default()
        };
        let reason = format!(
            "this Sentinel named {named}, which is of another cluster: taken back, it monitors {master} at epoch {epoch}"
        );
        self.rewrite(file, Level::Warn, "taken-over", Some(named), reason);
    }

    /// Above all that is known. Of those that show no id nobody would do the same for theirs: our Sentinels' hello, at a higher
    /// epoch, would take their Sentinels over, and their servers would lose all they hold for ours (N6). At the same epoch no
    /// Sentinel gives way to another.
    fn epoch_to_be_taken_back_at(&self, named: Address) -> Epoch {
        match self.evidence.stranger(named) {
            Some(None) => self.evidence.highest_epoch_ever(),
            _ => self.epoch_of_our_own(),
        }
    }

    /// Whom the servers confirm; else who leads by its supervisor's word; else whom our Sentinel named before, if it answers,
    /// or when nobody has come to lead for as long as that takes: at an epoch above all, an address that nobody has any more
    /// would depose whom the other Sentinels are about to choose (N16).
    fn master_of_our_own(&self) -> Option<Address> {
        let leads = self.evidence.servers.iter().filter(|(_, entry)| {
            let supervisor = entry.supervisor.view(self.now);
            self.evidence.is_one_of_ours(entry) && supervisor.is_some_and(|seen| seen.leads && !seen.fenced)
        });
        let mut leads = leads.map(|(at, _)| *at);
        let only = leads.next().filter(|_| leads.next().is_none());
        let answers =
            |at: Address| self.evidence.servers.get(&at).is_some_and(|entry| entry.server.view(self.now).is_some());
        let waited = self.sentinel.taken_over.named.is_some_and(|since| self.now.since(since) > self.rules.w());
        let before = self.sentinel.taken_over.ours.map(|(at, _)| at).filter(|at| !self.evidence.is_stranger(*at));
        let before = before.filter(|at| answers(*at) || waited && !self.a_failover_runs());
        self.confirmed_by_servers().or(only).or(before)
    }

    fn alien(&self) -> Alien {
        let own = self.evidence.sentinels.get(&self.rules.me);
        let mut alien = own.and_then(|entry| entry.alien.clone()).unwrap_or_default();
        alien.replicas.extend(self.listed_replicas().filter(|at| self.evidence.is_stranger(*at)));
        alien
    }

    /// Our own Sentinel lists this address, or this Sentinel, of another cluster.
    pub(super) fn lists_of_another_cluster(&self, at: Address) -> bool {
        if self.own_row().is_some_and(|row| row.address == at) {
            return true;
        }
        let Alien { sentinels, replicas } = self.alien();
        let id = self.evidence.sentinels.get(&at).and_then(|entry| entry.id_there.as_ref());
        replicas.contains(&at) || id.is_some_and(|id| sentinels.contains(id))
    }

    fn named_with_their_clusters(&self, sentinels: &[SentinelId], replicas: &[Address]) -> Vec<String> {
        let with = |name: String, cluster: Option<String>| match cluster {
            Some(id) => format!("{name} ({id})"),
            None => name,
        };
        let sentinels = sentinels.iter().map(|id| {
            let cluster = id.cluster().map(|tag| tag.to_string());
            with(format!("Sentinel {id}"), cluster)
        });
        let replicas = replicas.iter().map(|at| {
            let cluster = self.evidence.stranger(*at).flatten().map(|id| id.to_string());
            with(format!("replica {at}"), cluster)
        });
        sentinels.chain(replicas).collect()
    }

    fn listed_replicas(&self) -> impl Iterator<Item = Address> {
        let rows = self.own_sentinel().and_then(|seen| seen.rows.as_ref());
        rows.into_iter().flat_map(|rows| &rows.replicas).map(|row| row.address)
    }

    fn is_known_member(&self, at: Address) -> bool {
        self.evidence.servers.get(&at).is_some_and(|entry| self.evidence.is_one_of_ours(entry))
    }

    /// At once, in the order of the Sentinels' ids: what it lists of another cluster, and an id that is not of this one.
    fn drop_what_is_alien(&mut self) {
        let Alien { sentinels, replicas } = self.alien();
        let tag = self.own_sentinel().and_then(|seen| seen.id.cluster());
        let identify = tag != self.cluster_tag();
        if sentinels.is_empty() && replicas.is_empty() && !identify {
            (self.sentinel.taken_over.since, self.sentinel.taken_over.listed) = (None, None);
            return;
        }
        let listed = *self.sentinel.taken_over.listed.get_or_insert(self.now);
        if self.a_failover_is_waited_for(listed) {
            return self.sentinel.taken_over.since = None;
        }
        let since = *self.sentinel.taken_over.since.get_or_insert(self.now);
        // By their addresses: an id may be what changes here.
        let before = self.evidence.answering(self.now).filter(|(at, _)| *at < self.rules.me).count();
        let due = since + APART * u32::try_from(before).unwrap_or(u32::MAX);
        if self.now < due {
            return self.out.wake_at(due);
        }
        let dropped = self.named_with_their_clusters(&sentinels, &replicas);
        let reason = match dropped.is_empty() {
            true => "the Sentinel's id is made anew: it did not tell this cluster".to_owned(),
            false => format!("of another cluster, dropped from the list: {}", dropped.join(", ")),
        };
        let file = SentinelFile { forget: sentinels, forget_replicas: replicas, ..SentinelFile::default() };
        self.rewrite(file, Level::Warn, "drop-foreign", None, reason);
    }
}
