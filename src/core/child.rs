//! What we know of our own child, and which orders to it are under way.

use std::collections::BTreeMap;
use std::time::Duration;

use super::action::{Action, ChildOrder};
use super::cluster::ClusterTag;
use super::event::ChildExit;
use super::id::{Address, OrderId};
use super::moment::Moment;
use super::outbox::Outbox;
use super::seen::{ChildFailure, ChildSeen, Link, Login, RoleSeen};

/// The process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// There is none.
    None { since: Moment },
    /// It is being started.
    Starting,
    /// It runs.
    Running { pid: i32, since: Moment },
}

/// Its network port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Nobody on the network can see it.
    Shut,
    /// Open.
    Open,
}

/// Whether writers are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// The user's own `min-replicas-to-write`.
    Down,
    /// 100: every write is refused.
    Up,
}

/// Its ACL knows our user no more.
#[derive(Clone, Copy, Debug)]
pub struct LockedOut {
    /// Since when.
    pub since: Moment,
    /// When it was told to end for that.
    pub told: Option<Moment>,
}

/// The own child, as seen and as ordered.
#[derive(Debug)]
pub struct Child {
    /// The process.
    pub process: Process,
    /// The newest good look, and when it was asked for.
    seen: Option<(Moment, ChildSeen)>,
    /// What failed since, and from when on.
    failure: Option<(Moment, ChildFailure)>,
    /// No reply at all since then.
    pub silent_since: Option<Moment>,
    /// No order reaches it.
    pub locked_out: Option<LockedOut>,
    /// It has been seen loaded since it was started.
    pub loaded: bool,
    /// It holds a whole data set: loaded at start, or by one finished sync (design section 1, "synced").
    pub synced: bool,
    /// Its link to a master has been up since it was started (ready waits for that once; G2).
    pub has_streamed: bool,
    /// Door as last confirmed.
    pub door: Door,
    /// Fence as last confirmed; `None` where an order was lost: it may be either.
    pub fence: Option<Fence>,
    /// When the fence was ordered last.
    pub fenced_at: Moment,
    /// The cluster whose logins it knows, as last confirmed.
    pub belongs: Option<ClusterTag>,
    /// How it logs in at its master, as last confirmed; `None` where an order was lost.
    pub login: Option<Login>,
    /// The loosest login that somebody needed, and when that was last seen.
    pub(super) loosest: Option<(Login, Moment)>,
    /// By which login it lets replicas in, as last confirmed; `None` where an order was lost.
    pub admits: Option<Login>,
    /// INFO is refused to Sentinel until then.
    pub quick_until: Option<Moment>,
    /// The child confirmed that at this moment: an INFO that Sentinel accepted later is impossible.
    pub quick_since: Option<Moment>,
    /// `replica-priority` as last confirmed (inside, `None` is the user's own); `None` where an order was lost.
    pub priority: Option<Option<u32>>,
    /// The link to its master has been down since then (as far as we saw, so never too early).
    pub link_down_since: Option<Moment>,
    /// When anything last came over that link, to the second.
    pub last_byte: Option<Moment>,
    /// When the link was last cut by us.
    pub cut_at: Option<Moment>,
    /// Its role was changed by us then: looks asked before show the old one.
    pub role_since: Moment,
    /// How it ended, last time.
    pub last_exit: Option<ChildExit>,
    /// An order failed: no other of the kind that is repeated by itself before then.
    rests_until: Option<Moment>,
    orders: BTreeMap<OrderId, (ChildOrder, Moment)>,
}

impl Child {
    /// No child yet.
    pub fn new(now: Moment) -> Self {
        Child {
            process: Process::None { since: now },
            seen: None,
            failure: None,
            silent_since: None,
            locked_out: None,
            loaded: false,
            synced: false,
            has_streamed: false,
            door: Door::Shut,
            // Rendered so: every child is born fenced.
            fence: Some(Fence::Up),
            fenced_at: Moment::ZERO,
            belongs: None,
            login: Some(Login::Own),
            loosest: None,
            admits: Some(Login::Own),
            quick_until: None,
            quick_since: None,
            priority: Some(None),
            link_down_since: None,
            last_byte: None,
            cut_at: None,
            rests_until: None,
            role_since: Moment::ZERO,
            last_exit: None,
            orders: BTreeMap::new(),
        }
    }

    /// It is gone, or a new one starts: nothing known of the old one holds.
    pub fn reset(&mut self, process: Process) {
        let last_exit = self.last_exit;
        *self = Child { process, last_exit, orders: std::mem::take(&mut self.orders), ..Child::new(Moment::ZERO) };
    }

    /// Sends an order.
    pub fn order(&mut self, out: &mut Outbox, now: Moment, order: ChildOrder) -> OrderId {
        let id = OrderId(out.number());
        self.orders.insert(id, (order.clone(), now));
        out.push(Action::Child { id, order });
        id
    }

    /// Sends an order unless one that `same` recognises is under way.
    pub fn order_once(&mut self, out: &mut Outbox, now: Moment, order: ChildOrder, same: fn(&ChildOrder) -> bool) {
        if self.rests(out, now) || self.under_way(same) {
            return;
        }
        self.order(out, now, order);
    }

    /// An order has failed a moment ago: what is repeated until it works waits.
    pub fn rests(&self, out: &mut Outbox, now: Moment) -> bool {
        let rests = self.rests_until.filter(|until| now < *until);
        if let Some(until) = rests {
            out.wake_at(until);
        }
        rests.is_some()
    }

    /// An order has failed.
    pub fn rest_until(&mut self, until: Moment) {
        self.rests_until = Some(until);
    }

    /// Is such an order under way?
    pub fn under_way(&self, which: fn(&ChildOrder) -> bool) -> bool {
        self.orders.values().any(|(order, _)| which(order))
    }

    /// Is an order under way that may change its role?
    pub fn role_in_motion(&self) -> bool {
        self.under_way(|order| {
            matches!(
                order,
                ChildOrder::Follow { .. }
                    | ChildOrder::Lead
                    | ChildOrder::LeadAlone
                    | ChildOrder::Release { .. }
                    | ChildOrder::Spawn(_)
            )
        })
    }

    /// The order behind a number; each is answered once.
    pub fn done(&mut self, id: OrderId) -> Option<(ChildOrder, Moment)> {
        self.orders.remove(&id)
    }

    /// An order was lost: it may or may not have been carried out, now or when the child thaws.
    pub fn forget_effect(&mut self, order: &ChildOrder) {
        match order {
            ChildOrder::Fence
            | ChildOrder::Unfence
            | ChildOrder::TakeBack
            | ChildOrder::Release { .. }
            | ChildOrder::Lead => self.fence = None,
            ChildOrder::Priority(_) => self.priority = None,
            ChildOrder::Belong(_) => self.belongs = None,
            ChildOrder::LogIn(_) => self.login = None,
            ChildOrder::Admit(_) => self.admits = None,
            // Ends anew as soon as the child answers.
            ChildOrder::Unquicken | ChildOrder::Quicken => self.quick_until = Some(Moment::ZERO),
            _ => {}
        }
    }

    /// Takes in a look.
    pub fn note(&mut self, asked: Moment, now: Moment, seen: Result<ChildSeen, ChildFailure>) {
        if self.seen.as_ref().is_some_and(|(last, _)| asked < *last) || !self.running() {
            return;
        }
        match seen {
            Ok(seen) => {
                self.failure = None;
                self.silent_since = None;
                self.locked_out = None;
                self.note_good(now, &seen);
                self.seen = Some((asked, seen));
            }
            Err(failure) => {
                let since = self.failure.map_or(asked, |(since, _)| since);
                self.failure = Some((since, failure));
                match failure {
                    ChildFailure::Silent => self.silent_since = self.silent_since.or(Some(asked)),
                    _ => self.silent_since = None,
                }
                if failure == ChildFailure::LockedOut {
                    self.locked_out.get_or_insert(LockedOut { since: asked, told: None });
                }
            }
        }
    }

    fn note_good(&mut self, now: Moment, seen: &ChildSeen) {
        if seen.loading.is_none() {
            self.loaded = true;
            // What a start loads is a whole data set; nothing at all is one only for who leads.
            self.synced |= seen.has_data || seen.role.is_master();
        }
        match seen.role {
            RoleSeen::Replica { link: Link::Up, .. } => {
                self.synced = true;
                self.has_streamed = true;
                self.link_down_since = None;
                self.last_byte = seen.link_idle.map(|idle| now.before(idle));
            }
            RoleSeen::Replica { .. } => {
                // Its link came and went between two looks: what it got by it is the cluster's present all the same (U36).
                self.synced |= seen.has_lost_a_link;
                self.has_streamed |= seen.has_lost_a_link;
                self.link_down_since = self.link_down_since.or(Some(now));
            }
            RoleSeen::Master { .. } => self.link_down_since = None,
        }
    }

    /// Does the process run?
    pub fn running(&self) -> bool {
        matches!(self.process, Process::Running { .. })
    }

    /// The newest good look, where none has failed and we have not changed its role since.
    pub fn seen(&self) -> Option<&ChildSeen> {
        let fresh = self.seen.as_ref().filter(|(asked, _)| *asked >= self.role_since);
        fresh.filter(|_| self.failure.is_none()).map(|(_, seen)| seen)
    }

    /// The newest good look asked for at `since` or later.
    pub fn seen_since(&self, since: Moment) -> Option<&ChildSeen> {
        self.seen.as_ref().filter(|(asked, _)| *asked >= since).map(|(_, seen)| seen)
    }

    /// The newest good look of this process, whatever failed since.
    pub fn last_seen(&self) -> Option<&ChildSeen> {
        self.seen.as_ref().map(|(_, seen)| seen)
    }

    /// What fails now.
    pub fn failure(&self) -> Option<ChildFailure> {
        self.failure.map(|(_, failure)| failure)
    }

    /// It says master, by the newest look.
    pub fn says_master(&self) -> bool {
        self.seen().is_some_and(|seen| seen.role.is_master())
    }

    /// It streams from `master`.
    pub fn streams_from(&self, master: Address) -> bool {
        self.seen().is_some_and(
            |seen| matches!(seen.role, RoleSeen::Replica { master: Some(at), link: Link::Up } if at == master),
        )
    }

    /// How long its link has been down.
    pub fn link_down_for(&self, now: Moment) -> Duration {
        self.link_down_since.map_or(Duration::ZERO, |since| now.since(since))
    }
}
