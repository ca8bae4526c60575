//! Which id most of the others show, for who has none.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cluster::{ClusterId, ClusterTag, Identity};
use super::evidence::{Evidence, FORGET, SentinelEntry, ServerEntry, Word};
use super::id::Address;
use super::moment::Moment;
use super::seen::SentinelSeen;

/// For so long after the start those that show it must be no fewer than those whom the settings name and who are silent.
pub(super) const ALL_ARE_AWAITED: Duration = Duration::from_secs(30);
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

/// Its id tells a cluster: those without a supervisor tell none, and are waited for by nobody.
fn tells(seen: &SentinelSeen) -> bool {
    seen.id.cluster().is_some()
}

/// The settled id that its supervisor shows.
fn settled_id_shown(entry: &ServerEntry, now: Moment) -> Option<&Identity> {
    entry.supervisor.view(now)?.cluster.as_ref().filter(|identity| identity.is_settled())
}

impl Evidence {
    /// The id that more than half show of the supervisors that answer and the Sentinels whose ids tell one. A supervisor that
    /// shows none counts against it: one server at an address of ours, where nobody has an id yet, is not most of us. Where
    /// we hold data, somebody of theirs must share its past, or a Sentinel vouch for them.
    pub(super) fn id_of_the_most(&self, me: Address, since: Moment, now: Moment) -> Option<ClusterId> {
        // One that misses a look is still there.
        let lately =
            |entry: &ServerEntry| entry.supervisor.remembered().is_some_and(|(_, asked)| now.since(asked) <= FORGET);
        let named = self.servers.values().filter(|entry| entry.configured && lately(entry)).count()
            + self.answering(now).filter(|(at, seen)| tells(seen) && self.is_configured_sentinel(*at)).count();
        // All of ours may be down, and an address of ours another cluster's. Not for ever: some may never come back.
        let early = now.since(since) <= ALL_ARE_AWAITED;
        let silent = self.named_and_silent(me, now);
        // Sentinels that merge list all of the other cluster (N16): of several whom the settings name, these alone count.
        let only_named = named + silent >= SEVERAL;
        let mut all = 0_usize;
        let mut votes: BTreeMap<ClusterTag, Votes> = BTreeMap::new();
        let counted = |entry: &&ServerEntry| entry.configured || !only_named && entry.word == Word::Ours;
        for entry in self.servers.values().filter(counted) {
            all += usize::from(lately(entry));
            if let Some(identity) = settled_id_shown(entry, now) {
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
        let enough = !early || most.count >= silent;
        (most.vouched && enough && most.count > all / 2).then(|| most.id.unwrap_or_else(|| tag.as_id()))
    }

    /// The Sentinels whom the settings name, but us; not by the addresses of Services.
    fn named_sentinels(&self, me: Address) -> impl Iterator<Item = &SentinelEntry> {
        let named = self.sentinels.iter().filter(move |(at, entry)| entry.configured && !entry.second && **at != me);
        named.map(|(_, entry)| entry)
    }

    /// And the servers.
    fn named_servers(&self, me: Address) -> impl Iterator<Item = &ServerEntry> {
        self.servers.iter().filter(move |(at, entry)| entry.configured && **at != me).map(|(_, entry)| entry)
    }

    /// How many of them do not answer.
    fn named_and_silent(&self, me: Address, now: Moment) -> usize {
        let sentinels = self.named_sentinels(me).filter(|entry| entry.seen.view(now).is_none());
        let silent = |entry: &&ServerEntry| entry.supervisor.view(now).is_none() && entry.server.view(now).is_none();
        sentinels.count() + self.named_servers(me).filter(silent).count()
    }

    /// More of those whom the settings name are silent than answer.
    pub(super) fn most_named_are_silent(&self, me: Address, now: Moment) -> bool {
        self.named_and_silent(me, now) * 2 > self.named_sentinels(me).count() + self.named_servers(me).count()
    }

    /// Two ids are shown, or one by nobody whom the settings name, though they name somebody: a Sentinel that has merged, or that
    /// stands at an address that was ours, lists all of the other cluster (sim 589).
    pub(super) fn ids_are_in_doubt(&self, me: Address, now: Moment) -> bool {
        let mut shown: BTreeMap<ClusterTag, bool> = BTreeMap::new();
        for entry in self.servers.values().filter(|entry| entry.configured || entry.word == Word::Ours) {
            if let Some(identity) = settled_id_shown(entry, now) {
                *shown.entry(identity.id.tag()).or_default() |= entry.configured;
            }
        }
        for (at, seen) in self.answering(now) {
            if let Some(tag) = seen.id.cluster() {
                *shown.entry(tag).or_default() |= self.is_configured_sentinel(at);
            }
        }
        let may_tell = |entry: &SentinelEntry| entry.seen.view(now).is_none_or(tells);
        let names_somebody = self.sentinels.iter().any(|(at, entry)| entry.configured && *at != me && may_tell(entry))
            || self.named_servers(me).next().is_some();
        shown.len() > 1 || names_somebody && shown.values().any(|named| !named)
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
