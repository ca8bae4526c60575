//! Which id most of the others show, for who has none.

use std::collections::BTreeMap;

use super::cluster::{ClusterId, ClusterTag};
use super::evidence::{Evidence, FORGET, ServerEntry};
use super::moment::Moment;

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
        let mut all = 0_usize;
        let mut votes: BTreeMap<ClusterTag, Votes> = BTreeMap::new();
        for entry in self.servers.values() {
            // One that misses a look is still there.
            let lately = entry.supervisor.remembered().is_some_and(|(_, asked)| now.since(asked) <= FORGET);
            all += usize::from(lately);
            let shown = entry.supervisor.view(now).and_then(|seen| seen.cluster.as_ref());
            if let Some(identity) = shown.filter(|identity| identity.is_settled()) {
                let vote = votes.entry(identity.id.tag()).or_default();
                vote.count += 1;
                vote.id.get_or_insert_with(|| identity.id.clone());
                vote.vouched |= self.may_share_our_data(entry);
            }
        }
        for (_, seen) in self.answering(now) {
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

    /// We hold nothing, or what it holds has a past in common with ours.
    pub(super) fn may_share_our_data(&self, entry: &ServerEntry) -> bool {
        let mut ours = self.own.histories().peekable();
        let theirs = entry.server.remembered().map(|(seen, _)| &seen.history);
        ours.peek().is_none() || theirs.is_some_and(|theirs| ours.any(|history| history.shares_a_past(theirs)))
    }
}
