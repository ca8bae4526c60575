//! Everything the core can want. Drivers carry it out and report by an event; they decide nothing.

use std::time::Duration;

use super::ailment::Complaint;
use super::cluster::{ClusterTag, Identity};
use super::id::{Address, Epoch, OrderId, ReplyId, RequestId, SentinelId};
use super::label::PodRole;
use super::message::{PeerAnswer, PeerMessage};
use super::notice::Notice;
use super::record::Record;
use super::seen::Login;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look at somebody; always answered by the event of the same name, within [`super::event::LOOK_LIMIT`].
    Look(Look),
    /// An order to the own child, in the order given; answered by `Event::ChildDone`.
    Child { id: OrderId, order: ChildOrder },
    /// An order to a Sentinel; answered by `Event::SentinelDone`.
    Sentinel { id: RequestId, at: Address, order: SentinelOrder },
    /// A message to the supervisor of the server at `to`; answered by `Event::Answer` within `limit`.
    Ask { id: RequestId, to: Address, cluster: Option<Identity>, message: PeerMessage, limit: Duration },
    /// The answer to `Event::Request`.
    Reply { to: ReplyId, answer: PeerAnswer },
    /// A line for the person behind `Event::Operator`.
    Inform { to: ReplyId, line: Progress },
    /// Keep this on disk, atomically, some time soon; of several the last counts.
    Save(Box<Record>),
    /// The same, but nothing that follows is carried out before it is there: a promise binds over a restart.
    Promise(Box<Record>),
    /// Bring the label on our own pod to this; answered by `Event::Labelled`. A newer one takes the place of an older.
    Label { id: RequestId, role: PodRole },
    /// Tell whoever reads the cluster's history; may be lost.
    Notice(Notice),
    /// This is our cluster from now on: servers are asked for its login.
    Cluster(ClusterTag),
    /// One decision, one log line.
    Log(Decision),
    /// Log the whole status (USR1).
    LogStatus,
    /// The child is gone: end the process with this status.
    Exit(Exit),
}

/// A line of progress of something that a person asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A step was taken; more follows.
    Step(String),
    /// It is done.
    Done(String),
    /// It failed.
    Failed(String),
}

/// Whom to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Look {
    /// Resolve the configured names.
    Names,
    /// A Sentinel.
    Sentinel { at: Address, depth: Depth },
    /// Another server.
    Server { at: Address },
    /// The supervisor of the server at this address.
    Supervisor { at: Address },
    /// The elector.
    Elector,
    /// Our own child.
    Child { depth: Depth },
}

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// The one answer that the fence and the waits need.
    Glance,
    /// Everything.
    Full,
}

/// An order to the own child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildOrder {
    /// Render its files and start it: a replica of nobody with its door shut, or a Sentinel.
    Spawn(Birth),
    /// `REPLICAOF <master>`, unless its role is no longer `expecting` (read just before, H1).
    Follow { master: Address, expecting: Expecting },
    /// `min-replicas-to-write 100`, then `REPLICAOF NO ONE`: a master, born fenced. Answers `Done::At`.
    Lead,
    /// `REPLICAOF NO ONE` for a standalone server: no fence.
    LeadAlone,
    /// `min-replicas-to-write 100`: writers get an error at once.
    Fence,
    /// The user's own `min-replicas-to-write` again.
    Unfence,
    /// Pause writers and fence, in one transaction, and read the offset inside it (H3). Answers `Done::At`.
    Release { pause: Duration },
    /// Give up a release: the user's `min-replicas-to-write`, then UNPAUSE.
    TakeBack,
    /// UNPAUSE and kill normal and pubsub clients, in one transaction (P8, I1).
    Dismiss,
    /// Open the network port.
    OpenDoor,
    /// Shut the network port.
    ShutDoor,
    /// `shutdown-timeout 0`: what follows it has nothing to drain to anybody (SIGTERM took 10 s without).
    DropDrain,
    /// Refuse INFO to Sentinel's user.
    Quicken,
    /// Allow it again.
    Unquicken,
    /// `replica-priority`; `None`: the user's own.
    Priority(Option<u32>),
    /// Know the logins of this cluster, and those of no other one.
    Belong(ClusterTag),
    /// How it logs in at its master from the next connection on.
    LogIn(Login),
    /// By which login it lets replicas in, at the least: its cluster's; that of replication too; everybody's too.
    Admit(Login),
    /// `CLIENT KILL TYPE master`.
    CutLink,
    /// Gives up an attempt to connect, or a sync, that goes nowhere, and begins anew; a link that stands is left alone.
    Reconnect {
        /// The master that it follows.
        master: Address,
    },
    /// Keep what it holds as a rollback file before it is discarded. Answers `Done::Kept`.
    Keep,
    /// Find out what ails it, from its disk. Answers `Done::Found`; needs no child.
    Examine(Complaint),
    /// SIGTERM to the process.
    Terminate,
    /// `SCRIPT KILL`.
    KillScript,
    /// `SHUTDOWN NOSAVE NOW FORCE`.
    ShutdownNow,
    /// SIGKILL to the process group.
    Kill,
    /// SIGKILL to what is left of the group of a child that has ended (P31).
    KillRest,
}

/// What the role must be for an order to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expecting {
    /// A replica, of whomever.
    Replica,
    /// A master: a demotion.
    Master,
    /// Whatever it is.
    Anything,
}

/// How a child is born.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Birth {
    /// A server: replica of nobody, door shut, behind the gate, fence as given.
    Server,
    /// A Sentinel; its file is rendered, or repaired and completed, as told.
    Sentinel(SentinelFile),
}

/// What a Sentinel's file must say. The driver repairs duplicate, own and unresolvable entries in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentinelFile {
    /// Whom to monitor; `None` keeps what the file has (nothing at first: bare).
    pub monitor: Option<Monitor>,
    /// The cluster that its id shall tell; `None` keeps what the file has.
    pub cluster: Option<ClusterTag>,
    /// Sentinel entries to drop (prune).
    pub forget: Vec<SentinelId>,
    /// Replica entries to drop.
    pub forget_replicas: Vec<Address>,
}

/// A `sentinel monitor` line with its epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// The master.
    pub master: Address,
    /// Config epoch and current epoch.
    pub epoch: Epoch,
}

/// An order to a Sentinel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentinelOrder {
    /// `SENTINEL FAILOVER <name>`.
    Failover,
    /// `SENTINEL RESET <name>`: only on the direct way (P5).
    Reset,
    /// `SENTINEL DEBUG INFO-PERIOD <milliseconds>`: by a Sentinel's own supervisor after every start; by a server's only while
    /// it waits to be chosen, which then gives the period back (M11).
    InfoPeriod(Duration),
}

/// A decision with its one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// How loud.
    pub level: Level,
    /// The event, as a short fixed word (`lead`, `follow`, `fence`, ..).
    pub event: &'static str,
    /// The reason, one line, no secrets.
    pub reason: String,
    /// Whom it concerns.
    pub address: Option<Address>,
}

/// How loud a decision is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing to do for anybody.
    Info,
    /// Somebody should look.
    Warn,
    /// Somebody is paged.
    Error,
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A stop that was asked for: 0.
    Asked,
    /// The child had to be killed at the deadline: 137.
    Forced,
    /// Giving up with the child's own status; 128 + signal; 70 where it ended 0 unasked.
    GivingUp(super::event::ChildExit),
    /// The child could not be started at all: 78.
    CannotStart,
}

impl Exit {
    /// The process's exit status (design section 6).
    pub fn status(self) -> u8 {
        use super::event::ChildExit;
        match self {
            Exit::Asked => 0,
            Exit::Forced => 137,
            Exit::GivingUp(ChildExit::Code(0)) => 70,
            Exit::GivingUp(ChildExit::Code(code)) => u8::try_from(code).unwrap_or(70),
            Exit::GivingUp(ChildExit::Signal(signal)) => u8::try_from(128 + signal).unwrap_or(70),
            Exit::CannotStart => 78,
        }
    }
}
