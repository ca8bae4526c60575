//! Our cluster's id: given by the settings, kept in the state file, made by the first leader, or learned from the others.

use super::Supervisor;
use super::action::{Action, ChildOrder, Expecting, Level, Look};
use super::cluster::{ClusterId, ClusterTag, Identity, Kinship, Standing, kinship};
use super::course::Course;
use super::id::{Address, ReplyId};
use super::id_votes::ALL_ARE_AWAITED;
use super::message::{PeerAnswer, PeerMessage};
use super::record::Record;
use super::rules::Rules;

/// What we know at our start: the settings go first.
pub(super) fn known_at_start(rules: &Rules, record: Option<&Record>) -> Option<Identity> {
    let given = rules.cluster_id.clone().map(Identity::settled);
    given.or_else(|| record.and_then(|record| record.cluster.clone()))
}

/// Where nobody is: as a child is born.
fn nobody() -> Address {
    Address::new(std::net::IpAddr::from([127, 0, 0, 1]), 1)
}

impl Supervisor {
    /// What is known of our cluster at the start goes into every message, and into our Sentinel's id.
    pub(super) fn begin_with_what_is_known(mut self) -> Self {
        self.out.cluster.clone_from(&self.evidence.cluster);
        self.sentinel_file.cluster = self.cluster_tag();
        self.tell_drivers();
        self
    }

    /// Once it is settled: the logins of a cluster hang on its id.
    fn tell_drivers(&mut self) {
        if let Some(tag) = self.settled_tag() {
            self.out.push(Action::Cluster(tag));
        }
    }

    /// What our id is known by in logins and Sentinels' ids, where it is settled.
    pub(super) fn settled_tag(&self) -> Option<ClusterTag> {
        self.evidence.settled().map(|identity| identity.id.tag())
    }

    /// What our Sentinel's id tells.
    pub(super) fn cluster_tag(&self) -> Option<ClusterTag> {
        self.evidence.cluster.as_ref().map(|identity| identity.id.tag())
    }

    /// One turn of who is not sure of its id: a majority of the others knows it; else a leader makes it, and it is settled
    /// once that one takes writes; else it is the one of the leader that is about to be followed.
    pub(super) fn identity_turn(&mut self) {
        self.tell_strangers();
        if self.evidence.settled().is_some() {
            return self.join_our_sentinels();
        }
        if self.asked_everybody()
            && let Some(id) = self.evidence.id_of_the_most(self.rules.me, self.started, self.now)
        {
            return self.take_identity(Identity::settled(id), "most of the others show it");
        }
        if let Some(leading) = self.course.leading() {
            let settled = leading.fence.is_none();
            let id = self.evidence.cluster.as_ref().map(|identity| identity.id.clone());
            return match id {
                Some(id) if settled => self.take_identity(Identity::settled(id), "this server takes writes under it"),
                Some(_) => {}
                None => self.make_identity(),
            };
        }
        let master = self.course.master().or(self.master_now());
        let entry = master.and_then(|at| self.evidence.servers.get(&at));
        let shares = entry.is_some_and(|entry| self.evidence.may_share_our_data(entry));
        let shown = entry.and_then(|entry| entry.supervisor.view(self.now)).and_then(|seen| seen.cluster.clone());
        // A settled one of a leader whose data are ours, where most are of a version that shows none.
        let follows = self.course.master().is_some() && self.child.has_streamed;
        if let Some(shown) = shown.filter(|shown| shown.standing == Standing::New || shares && follows) {
            self.take_identity(shown, "the leader shows it");
        }
    }

    /// We know no settled id and somebody shows one, and not everybody has been asked, or those that answer are too few to
    /// tell, or show two: a lost volume at an address that was another cluster's hears that one's leader first (N16).
    pub(super) fn may_be_of_another_cluster(&self) -> bool {
        let me = self.rules.me;
        let early = self.now.since(self.started) < ALL_ARE_AWAITED
            && (self.evidence.most_named_are_silent(me, self.now) || self.evidence.ids_are_in_doubt(me, self.now));
        self.evidence.settled().is_none()
            && self.evidence.anybody_shows_a_settled_id()
            && (early || !self.asked_everybody())
    }

    /// Every Sentinel and every supervisor has been asked once.
    fn asked_everybody(&self) -> bool {
        self.evidence.resolved
            && self.evidence.sentinels.values().all(|entry| entry.seen.asked().is_some())
            && self.evidence.servers.values().all(|entry| entry.supervisor.asked().is_some())
    }

    /// The first to lead makes the id.
    pub(super) fn make_identity(&mut self) {
        if self.evidence.cluster.is_none() {
            let identity = Identity { id: ClusterId::made(self.rules.nonce), standing: Standing::New };
            self.take_identity(identity, "nobody shows one, so this leader makes it");
        }
    }

    pub(super) fn take_identity(&mut self, identity: Identity, reason: &str) {
        let before = self.evidence.cluster.as_ref();
        if before == Some(&identity) {
            return;
        }
        if before.is_none_or(|before| before.id != identity.id) {
            self.decide(Level::Info, "cluster", None, format!("this is cluster {}: {reason}", identity.id));
        }
        self.out.cluster = Some(identity.clone());
        self.evidence.set_cluster(identity, self.rules.me, self.now);
        self.tell_drivers();
        self.save_soon();
    }

    /// One line for each address at which somebody of another cluster was found.
    fn tell_strangers(&mut self) {
        let Some(ours) = self.evidence.settled().map(|identity| identity.id.clone()) else { return };
        for (at, theirs) in self.evidence.take_found() {
            let reason = match theirs {
                Some(theirs) => format!(
                    "{at} is a server of cluster {theirs}, this is cluster {ours}: it is neither followed, nor obeyed, nor counted"
                ),
                None => format!(
                    "{at} has no part in our history and shows no cluster id, this is cluster {ours}: it is neither \
                     followed, nor obeyed, nor counted; if it belongs here: redinit adopt {at}"
                ),
            };
            self.decide(Level::Warn, "foreign", Some(at), reason);
            self.leave_stranger(at);
        }
        self.tell_foreign_sentinels();
        self.tell_other_clusters();
    }

    /// And one for each address at which a Sentinel of another cluster answers.
    fn tell_foreign_sentinels(&mut self) {
        let me = self.rules.me;
        for (at, id) in self.evidence.foreign_sentinels(me) {
            let theirs = id.cluster().map(|tag| tag.to_string()).unwrap_or_default();
            let reason = format!("{at} is a Sentinel of another cluster, {theirs}: its word does not count");
            self.decide(Level::Warn, "foreign", Some(at), reason);
            if let Some(entry) = self.evidence.sentinels.get_mut(&at) {
                entry.told_of = Some(id);
            }
        }
    }

    /// Our master's address belongs to somebody else now: our engine must not go on asking there for its data (N4).
    fn leave_stranger(&mut self, at: Address) {
        if self.course.master() != Some(at) || self.course.leading().is_some() {
            return;
        }
        self.course = Course::Undecided;
        self.followed_last = None;
        let order = ChildOrder::Follow { master: nobody(), expecting: Expecting::Replica };
        self.child.order_once(&mut self.out, self.now, order, |order| matches!(order, ChildOrder::Follow { .. }));
    }

    /// A message of another cluster is answered and has no effect. The sender's address is what it writes: it is looked at.
    pub(super) fn is_foreign_message(
        &mut self,
        reply: ReplyId,
        from: Option<Address>,
        cluster: Option<&Identity>,
        message: &PeerMessage,
    ) -> bool {
        let Some(ours) = self.evidence.settled().cloned() else { return false };
        if kinship(Some(&ours), cluster) != Kinship::Foreign {
            return false;
        }
        if let PeerMessage::Met { lists } = message {
            self.met(from, cluster, *lists);
        }
        if let Some(at) = from.filter(|at| self.evidence.servers.contains_key(at)) {
            self.lookout.want(Look::Supervisor { at });
        }
        self.out.reply(reply, PeerAnswer::OtherCluster { belongs_to: ours });
        true
    }
}
