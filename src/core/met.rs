//! Members of another cluster that know an address of ours, by their supervisors' own word: over an open door there the two
//! clusters' Sentinels meet (N1). They are told of ours in the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Supervisor;
use super::action::Level;
use super::cluster::{ClusterId, Identity};
use super::evidence::Evidence;
use super::id::Address;
use super::message::PeerMessage;
use super::moment::Moment;
use super::outbox::Purpose;
use super::rules::Mode;
use super::seen::Failure;

/// Somebody of another cluster is told again this often.
const TELL_AGAIN: Duration = Duration::from_secs(5);
/// And this often while our own Sentinel lists it.
const TELL_LISTED: Duration = Duration::from_secs(1);
/// What a Sentinel's supervisor says of its list holds for this long.
const LISTED_FOR: Duration = Duration::from_secs(3);
/// A replica's door waits this long at most until other clusters' Sentinels have dropped its address.
const DOOR_WAITS: Duration = Duration::from_secs(60);
/// An answer hangs on nothing.
const ANSWERED_WITHIN: Duration = Duration::from_millis(500);
/// So many other clusters are told of: anybody may write a message.
const MOST_CLUSTERS: usize = 8;

/// Who knows whom across clusters.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// Whom we have told, and when last.
    told: BTreeMap<Address, Moment>,
    /// The clusters that the log has named.
    named: BTreeSet<ClusterId>,
    /// The Sentinel that lists our address, of which cluster, and when that was last said.
    listed: Option<(Address, ClusterId, Moment)>,
    /// Whether our door waits for that.
    door: DoorWaits,
}

/// A door that waits for other clusters' Sentinels.
#[derive(Clone, Copy, Debug, Default)]
enum DoorWaits {
    /// For nobody.
    #[default]
    No,
    /// Since then.
    Since(Moment),
    /// It has waited long enough, and waits no more for those that list it still.
    Over,
}

impl Evidence {
    /// Where somebody of another cluster answers, by the id that it shows.
    fn foreign_addresses(&self, me: Address, now: Moment) -> Vec<Address> {
        let answers = self.strangers.iter().filter(|(_, entry)| entry.supervisor.view(now).is_some());
        let servers = answers.map(|(at, _)| *at).filter(|at| self.stranger(*at).flatten().is_some());
        let sentinels = self.sentinels.iter().filter(|(at, entry)| {
            let answers = entry.seen.failing().is_some_and(|bad| bad.failure == Failure::Nonsense);
            **at != me && answers && entry.id_there.as_ref().is_some_and(|id| self.is_foreign_sentinel(id))
        });
        servers.chain(sentinels.map(|(at, _)| *at)).collect()
    }
}

impl Supervisor {
    /// Their own supervisors learn whose address they have got, at once.
    pub(super) fn tell_other_clusters(&mut self) {
        let now = self.now;
        let foreign = self.evidence.foreign_addresses(self.rules.me, now);
        self.met.told.retain(|at, _| foreign.contains(at));
        for at in foreign {
            let lists = self.lists_of_another_cluster(at);
            let every = if lists { TELL_LISTED } else { TELL_AGAIN };
            if self.met.told.get(&at).is_some_and(|last| now.since(*last) < every) {
                continue;
            }
            self.met.told.insert(at, now);
            self.out.ask(at, PeerMessage::Met { lists }, ANSWERED_WITHIN, Purpose::Favour);
        }
    }

    /// A supervisor of another cluster knows our address, and may say that its Sentinel lists it.
    pub(super) fn met(&mut self, from: Option<Address>, theirs: Option<&Identity>, lists: bool) {
        let (Some(from), Some(theirs), Some(ours)) = (from, theirs, self.evidence.settled()) else { return };
        let (theirs, ours) = (theirs.id.clone(), ours.id.clone());
        if lists && self.rules.mode == Mode::Server {
            self.met.listed = Some((from, theirs.clone(), self.now));
        }
        if self.met.named.len() < MOST_CLUSTERS && self.met.named.insert(theirs.clone()) {
            let reason = format!(
                "{from} of cluster {theirs} knows this address, which is of cluster {ours}: that cluster is neither followed, \
                 nor obeyed, nor counted here"
            );
            self.decide(Level::Warn, "foreign", Some(from), reason);
        }
    }

    /// A Sentinel of another cluster would meet ours behind our door: it stays shut until that one has dropped us. Not where
    /// a master is missing, and not for ever.
    pub(super) fn waits_for_other_clusters(&mut self) -> bool {
        let now = self.now;
        let Some((at, cluster, last)) = self.met.listed.clone().filter(|(_, _, last)| now.since(*last) < LISTED_FOR)
        else {
            self.met.door = DoorWaits::No;
            return false;
        };
        let since = match self.met.door {
            DoorWaits::Over => return false,
            DoorWaits::Since(since) if now.since(since) >= DOOR_WAITS => {
                self.met.door = DoorWaits::Over;
                let reason = format!(
                    "the door opens although Sentinel {at} of cluster {cluster} lists this address: it has waited long enough"
                );
                self.decide(Level::Warn, "door", Some(at), reason);
                return false;
            }
            DoorWaits::Since(since) => since,
            DoorWaits::No => {
                self.met.door = DoorWaits::Since(now);
                let reason =
                    format!("the door stays shut for now: Sentinel {at} of cluster {cluster} lists this address");
                self.decide(Level::Warn, "door", Some(at), reason);
                now
            }
        };
        self.out.wake_at((last + LISTED_FOR).min(since + DOOR_WAITS));
        true
    }
}
