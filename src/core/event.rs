//! Everything that can reach the core.

use std::time::Duration;

use super::cluster::Identity;
use super::id::{Address, Offset, OrderId, ReplId, ReplyId, RequestId};
use super::label::LabelFailure;
use super::message::{PeerAnswer, PeerMessage};
use super::moment::Moment;
use super::seen::{ChildFailure, ChildSeen, ElectorSeen, Failure, SentinelSeen, ServerSeen, SupervisorSeen};

/// Something happened. `asked` is when the question left us: an answer proves the state at some moment after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `poll_timeout` came round.
    Tick,
    /// The configured names were resolved.
    Names(Names),
    /// Answer to `Look::Sentinel`.
    Sentinel { at: Address, asked: Moment, seen: Result<SentinelSeen, Failure> },
    /// Answer to `Look::Server`.
    Server { at: Address, asked: Moment, seen: Result<ServerSeen, Failure> },
    /// Answer to `Look::Supervisor`; `at` is the server's address.
    Supervisor { at: Address, asked: Moment, seen: Result<SupervisorSeen, Failure> },
    /// Answer to `Look::Elector`.
    Elector { asked: Moment, seen: Result<ElectorSeen, Failure> },
    /// Answer to `Look::Child`.
    Child { asked: Moment, seen: Result<ChildSeen, ChildFailure> },
    /// An order to the child was carried out, or was not.
    ChildDone { id: OrderId, done: Result<Done, OrderFailure> },
    /// The child process ended.
    ChildExited(ChildExit),
    /// An order to a Sentinel was answered.
    SentinelDone { id: RequestId, at: Address, done: Result<SentinelReply, Failure> },
    /// Another supervisor answered, or did not in time.
    Answer { id: RequestId, from: Address, answer: Result<PeerAnswer, Failure> },
    /// Another supervisor asks. Answered by `Action::Reply`, at once or later; the driver gives up after 2 s.
    Request { reply: ReplyId, from: Option<Address>, cluster: Option<Identity>, message: PeerMessage },
    /// A person asks, over the Unix socket. Answered by `Action::Inform`.
    Operator { reply: ReplyId, wish: Wish },
    /// The label on our pod was set, or was not.
    Labelled { id: RequestId, done: Result<(), LabelFailure> },
    /// A signal came.
    Signal(Signal),
    /// A Sentinel's channel says that something is up, or a connection to a master has ended: look again now.
    Wake { at: Address },
}

/// What the configured names resolve to now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Addresses of the configured Sentinels; `None` where the look-up failed (could not ask is not no).
    pub sentinels: Option<Vec<Address>>,
    /// Addresses of the configured servers.
    pub servers: Option<Vec<Address>>,
}

/// Signals that mean something to us; the others are swallowed (P8 to P10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// TERM or INT: shut down.
    Stop,
    /// QUIT: bottom of the stop ladder.
    Quit,
    /// HUP: reload and rediscover.
    Reload,
    /// USR1: log the status.
    Report,
}

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// `redinit handover [--to]`.
    Handover { to: Option<Address> },
    /// `redinit maintenance on|off`.
    Maintenance(Maintenance),
    /// `redinit adopt ADDRESS [--dry-run]`.
    Adopt { at: Address, how: Adopting },
}

/// Say what would be done, or do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopting {
    /// `--dry-run`.
    Dry,
    /// For real.
    Real,
}

/// Observe only, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintenance {
    /// Nothing is promoted, re-pointed, fenced or restarted.
    On,
    /// Normal work.
    Off,
}

/// How the child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildExit {
    /// `exit(n)`.
    Code(i32),
    /// Killed by a signal.
    Signal(i32),
}

/// What a fulfilled order brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Nothing to tell.
    Ok,
    /// `ChildOrder::Spawn`: it runs.
    Spawned { pid: i32 },
    /// `ChildOrder::Release` and `ChildOrder::Lead`: where the stream stood inside the transaction.
    At { history: ReplId, offset: Offset },
    /// `ChildOrder::Keep`: the rollback file.
    Kept { file: String, bytes: u64 },
    /// `ChildOrder::Examine`: what was found.
    Found(super::ailment::Ailment),
}

/// Why an order to the child did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderFailure {
    /// Not carried out: the role was not what the order expected (H1).
    OtherRole,
    /// The engine said no.
    Refused(String),
    /// No answer in time: it may or may not have happened.
    Unknown,
    /// There is no child, or it could not be started.
    NoChild(String),
}

/// What a Sentinel said to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SentinelReply {
    /// `OK`: the failover has begun, which says nothing about its end (M2).
    Ok,
    /// `INPROG`: a failover is under way there.
    InProgress,
    /// `NOGOODSLAVE`.
    NoGoodReplica,
    /// Something else.
    Error(String),
}

/// How long an answer may take before its absence is an event.
pub const LOOK_LIMIT: Duration = Duration::from_millis(300);
