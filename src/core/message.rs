//! What supervisors say to each other. One JSON object a message, `"v":1`; unknown fields are ignored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cluster::Identity;
use super::engines::EngineVersion;
use super::id::{Address, AttemptId, Epoch, Offset, ReplId, SentinelId};

/// A message to the supervisor of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PeerMessage {
    /// Let go of the master role for this candidate (L2).
    Release {
        /// The attempt; the same one asked again gets the same answer.
        attempt: AttemptId,
        /// Who would lead.
        candidate: Address,
        /// The Sentinel whose proposal this is.
        sentinel: SentinelId,
        /// The master that the proposal replaces.
        replaces: Address,
        /// Largest offset the candidate had when it asked.
        offset: Offset,
    },
    /// Promise not to lead yourself, for 5 s (L3).
    Consent {
        /// The attempt.
        attempt: AttemptId,
        /// Who would lead.
        candidate: Address,
        /// The master that would be replaced.
        replaces: Option<Address>,
        /// What the candidate holds.
        rank: Box<Rank>,
    },
    /// Somebody leads now.
    Led {
        /// The attempt or vote under which it leads.
        attempt: AttemptId,
        /// Who leads.
        leader: Address,
        /// The epoch the leader knows of.
        epoch: Epoch,
    },
    /// What became of a release? (`GET /peer/led?release=ID`)
    AskLed {
        /// The attempt that was released.
        attempt: AttemptId,
    },
    /// Refuse INFO to Sentinel's user for a moment (quicken).
    Quicken {
        /// For how long, 3 s at most.
        #[serde(with = "millis")]
        lasting: Duration,
    },
    /// Set your child's replica-priority.
    Priority {
        /// The priority: 0 is "do not choose me"; `None` gives back the user's own.
        priority: Option<u32>,
        /// In whose favour; it ends when a majority names that one.
        leader: Address,
        /// For how long, 10 s at most.
        #[serde(with = "millis")]
        lasting: Duration,
    },
    /// A report to the coordinator of a vote; also the sender's consent for 10 s (3.4).
    Report(Box<Report>),
    /// The coordinator's decision: you lead.
    Lead {
        /// Who decided.
        coordinator: Address,
        /// The decision; void after 2 s.
        attempt: AttemptId,
    },
    /// Do you stand by your report to this coordinator? Asked by the coordinator itself, at the address it knows (S5).
    Vouch {
        /// Who asks.
        coordinator: Address,
    },
    /// Did you decide this? Asked by the one who was told to lead, at the address that it knows the coordinator by (S1).
    Decided {
        /// The decision.
        attempt: AttemptId,
    },
    /// To somebody of another cluster: our cluster knows the address that you have now.
    Met {
        /// The Sentinel beside the sender lists it.
        lists: bool,
    },
    /// The coordinator's decision: follow this one when it says master.
    Follow {
        /// The vote.
        attempt: AttemptId,
        /// Who leads.
        leader: Address,
    },
}

/// The answer to a [`PeerMessage`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum PeerAnswer {
    /// To `Release`: paused and fenced; nothing was acknowledged beyond this offset.
    Released {
        /// The offset to reach.
        offset: Offset,
        /// The history that the offset counts in.
        history: ReplId,
    },
    /// To `Release`: the child is gone and will not come back on its own. Lead.
    ChildGone,
    /// To `Release`: the asked one is a replica; it acknowledges nothing and has nothing to let go of.
    NothingToRelease,
    /// To anything: no.
    No {
        /// Why, in one line.
        reason: String,
    },
    /// To anything: a Sentinel's supervisor stands here. Whatever server had this address is not here any more.
    NoServer,
    /// To anything: this server belongs to another cluster than the asker. Nothing was done.
    OtherCluster {
        /// To which one.
        belongs_to: Identity,
    },
    /// To `Consent`: granted.
    Consented,
    /// To `Consent`: refused because the asked one holds more of the same history (M8).
    HoldMore {
        /// What it holds.
        offset: Offset,
    },
    /// To `Led` and `Follow`: it follows, or will.
    Following,
    /// To `AskLed`: it leads under that release.
    Led,
    /// To `AskLed`: it never will.
    Never,
    /// To `AskLed`: not decided.
    Open,
    /// To `Vouch`: this is what it reports.
    Report(Box<Report>),
    /// To `Decided`: yes, for this leader, by these reports.
    Decided {
        /// Who shall lead.
        leader: Address,
        /// Whose reports count.
        reported: Vec<Address>,
        /// Which of them hold data.
        holding: Vec<Address>,
    },
    /// To `Quicken`, `Priority`, `Report`, `Lead`: done.
    Ok,
}

/// What a server could lead with. Order: section 3.4 of the design.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rank {
    /// It holds at least one key, or ever held a data set of this cluster.
    pub has_data: bool,
    /// Highest config epoch at which its data were current.
    pub epoch: Epoch,
    /// It was master at that epoch and its AOF was loaded whole.
    pub was_master_with_aof: bool,
    /// The history of its data.
    pub history: ReplId,
    /// The second history and how far it reaches.
    pub second: Option<(ReplId, Offset)>,
    /// How far it got.
    pub offset: Offset,
    /// Unix seconds of its last write, as its own state file says; only a late tie-break.
    pub last_write: u64,
    /// Who it is; the lowest address wins the last tie.
    pub address: Address,
    /// How the history of the snapshot that it loaded, the last one here, went on until the last one known. Newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub line: Vec<Step>,
    /// No data lie beyond this offset, only pings and hellos; `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Offset>,
}

/// A history went on as another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The one.
    pub history: ReplId,
    /// Up to where it is part of the next.
    pub upto: Offset,
    /// The other.
    pub next: ReplId,
}

/// One server's report in a total outage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What it could lead with.
    pub rank: Rank,
    /// Still loading: do not decide without it.
    pub loading: bool,
    /// It has a state file: somebody with newer data may still come.
    pub has_state: bool,
    /// It was master when it last ran, by its own state file.
    pub was_master: bool,
    /// `replica-priority 0` set by the user: it never leads.
    pub never: bool,
    /// How many servers it knows of, itself included.
    pub known_servers: usize,
    /// The servers it knows.
    pub servers: Vec<Address>,
    /// The engine that it runs; one of an earlier version does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineVersion>,
}

/// The envelope on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Version of the language: 1.
    pub v: u32,
    /// Who sends: a server's address, `None` for a client without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Address>,
    /// The cluster that the sender belongs to, where it knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Identity>,
    /// The message itself.
    #[serde(flatten)]
    pub body: T,
}

/// Durations travel as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}
