//! Which id most of the others show, for who has none.

use std::collections::BTreeMap;

use super::cluster::{ClusterId, ClusterTag, Identity};
use super::evidence::{Evidence, FORGET, SentinelEntry, ServerEntry, Word};
use super::id::Address;
use super::moment::Moment;

/// One address that the settings name may be another cluster's by now.
const SEVERAL: usize = 2;

/// Those that show one id.
#[derive(Default)]
struct Votes {
    count: usize,
    /// The id in full, where a supervisor shows it.
    id: Option<ClusterId>,
    /// Sentinels are among them, or a server whose data have a past in common with ours.
    vouched: bool,
}

impl Evidence {
    /// The id that more than half show of the supervisors that answer and the Sentinels whose ids tell one. A supervisor that
    /// shows none counts against it: one server at an address of ours, where nobody has an id yet, is not most of us. Where
    /// we hold data, somebody of theirs must share its past, or a Sentinel vouch for them.
    pub(super) fn id_of_the_most(&self, now: Moment) -> Option<ClusterId> {
        // One that misses a look is still there.
        let lately =
            |entry: &ServerEntry| entry.supervisor.remembered().is_some_and(|(_, asked)| now.since(asked) <= FORGET);
        let named = self.servers.values().filter(|entry| entry.configured && lately(entry)).count()
            + self.answering(now).filter(|(at, _)| self.is_configured_sentinel(*at)).count();
        // Sentinels that merge list all of the other cluster (N16): of several whom the settings name, these alone count.
        let only_named = named >= SEVERAL;
        let mut all = 0_usize;
        let mut votes: BTreeMap<ClusterTag, Votes> = BTreeMap::new();
        let counted = |entry: &&ServerEntry| entry.configured || !only_named && entry.word == Word::Ours;
        for entry in self.servers.values().filter(counted) {
            all += usize::from(lately(entry));
            let shown = entry.supervisor.view(now).and_then(|seen| seen.cluster.as_ref());
            if let Some(identity) = shown.filter(|identity| identity.is_settled()) {
                let vote = votes.entry(identity.id.tag()).or_default();
                vote.count += 1;
                vote.id.get_or_insert_with(|| identity.id.clone());
                vote.vouched |= self.may_share_our_data(entry);
            }
        }
        for (_, seen) in self.answering(now).filter(|(at, _)| !only_named || self.is_configured_sentinel(*at)) {
            if let Some(tag) = seen.id.cluster() {
                all += 1;
                let vote = votes.entry(tag).or_default();
                vote.count += 1;
                vote.vouched = true;
            }
        }
        let (tag, most) = votes.into_iter().max_by_key(|(_, vote)| vote.count)?;
        (most.vouched && most.count > all / 2).then(|| most.id.unwrap_or_else(|| tag.as_id()))
    }

    /// A supervisor, or a Sentinel by its id.
    pub(super) fn anybody_shows_a_settled_id(&self) -> bool {
        let shown = |entry: &ServerEntry| {
            entry.supervisor.remembered().and_then(|(seen, _)| seen.cluster.as_ref()).is_some_and(Identity::is_settled)
        };
        let told = |entry: &SentinelEntry| entry.id_there.as_ref().is_some_and(|id| id.cluster().is_some());
        self.servers.values().any(shown) || self.sentinels.values().any(told)
    }

    fn is_configured_sentinel(&self, at: Address) -> bool {
        self.sentinels.get(&at).is_some_and(|entry| entry.configured)
    }

    /// We hold nothing, or what it holds has a past in common with ours.
    pub(super) fn may_share_our_data(&self, entry: &ServerEntry) -> bool {
        let mut ours = self.own.histories().peekable();
        let theirs = entry.server.remembered().map(|(seen, _)| &seen.history);
        ours.peek().is_none() || theirs.is_some_and(|theirs| ours.any(|history| history.shares_a_past(theirs)))
    }
}
