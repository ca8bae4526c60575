//! What others show, made tersely: server `n` is 127.0.0.n, Sentinel `n` is 127.0.1.n, all in one history `h1`.

use std::time::Duration;

use crate::core::engines::{EngineName, EngineVersion, Version};
use crate::core::id::{Address, Epoch, Offset, RunId, SentinelId};
use crate::core::label::Labels;
use crate::core::message::{Rank, Report};
use crate::core::notice::Notices;
use crate::core::record::{Record, RecordedRole, Recovered};
use crate::core::rules::{ElectorRule, Mode, Rules};
use crate::core::seen::{
    AttachedReplica, ChildSeen, Failure, History, Link, Login, MasterRow, ReplicaRow, RoleSeen, Rows, SentinelRow,
    SentinelSeen, ServerSeen, SupervisorSeen,
};

/// What nobody answers.
pub const SILENT: Failure = Failure::Silent;
/// Nobody listens there.
pub const REFUSED: Failure = Failure::Refused;

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Server `n`; 1 is us unless a test says otherwise.
pub fn srv(n: u8) -> Address {
    Address::new([127, 0, 0, n].into(), 6379)
}

/// Sentinel `n`.
pub fn sen(n: u8) -> Address {
    Address::new([127, 0, 1, n].into(), 26379)
}

pub fn rules() -> Rules {
    Rules {
        cluster_id: None,
        mode: Mode::Server,
        master_name: "mymaster".into(),
        me: srv(1),
        quorum: 2,
        down_after: ms(5_000),
        failover_timeout: ms(10_000),
        expected_servers: Some(3),
        sentinels_configured: true,
        sentinels_listed: vec![],
        servers_listed: vec![],
        servers_configured: true,
        elector: ElectorRule::None,
        in_kubernetes: false,
        priority: 100,
        grace: ms(60_000),
        restart_max: 5,
        restart_within: ms(300_000),
        engine: EngineVersion { name: EngineName::Redis, version: Version::new(7, 0, 15) },
        labels: Labels::Off,
        notices: Notices::Off,
        nonce: 7,
    }
}

pub fn history(offset: u64) -> History {
    History { id: "h1".into(), second: None, offset: Offset(offset) }
}

pub fn master_role(replicas: &[Address]) -> RoleSeen {
    let attached = |at: &Address| AttachedReplica { address: *at, online: true, offset: Offset(1000), lag: ms(0) };
    RoleSeen::Master { replicas: replicas.iter().map(attached).collect() }
}

pub fn replica_role(master: Address) -> RoleSeen {
    RoleSeen::Replica { master: Some(master), link: Link::Up }
}

pub fn server(n: u8, role: RoleSeen, offset: u64) -> ServerSeen {
    ServerSeen {
        run_id: RunId(format!("run-{n}")),
        role,
        history: history(offset),
        loading: false,
        supervised: Some(true),
        login: Some(Login::Own),
        engine: None,
        has_data: Some(true),
    }
}

pub fn supervisor(epoch: u64) -> SupervisorSeen {
    SupervisorSeen {
        cluster: None,
        epoch: Epoch(epoch),
        leads: false,
        fenced: false,
        follows: None,
        never: false,
        node: None,
        engine: None,
        began: None,
    }
}

pub fn child(role: RoleSeen, offset: u64) -> ChildSeen {
    ChildSeen {
        run_id: "run-1".into(),
        role,
        history: history(offset),
        loading: None,
        link_idle: Some(ms(500)),
        has_lost_a_link: false,
        has_data: true,
        aof: true,
        appended: None,
        written: None,
        cannot_save: false,
        shutting_down: false,
        sync_bytes: 0,
        last_save: 0,
    }
}

pub fn sentinel_id(n: u8) -> SentinelId {
    SentinelId(format!("sentinel-{n}"))
}

pub fn master_row(master: Address, epoch: u64) -> MasterRow {
    MasterRow {
        address: master,
        run_id: None,
        epoch: Epoch(epoch),
        s_down: false,
        o_down: false,
        disconnected: false,
        failover: false,
        says_replica: false,
        last_ok_ping: ms(100),
        ping_unanswered: None,
        down_after: ms(5_000),
        quorum: 2,
    }
}

pub fn replica_row(address: Address) -> ReplicaRow {
    ReplicaRow {
        address,
        promoted: false,
        s_down: false,
        down_for: ms(0),
        disconnected: false,
        info_refresh: ms(400),
        priority: 100,
        offset: Offset(1000),
        link_up: true,
    }
}

/// Sentinel `n` of `all`, which names `master` and lists the other servers of three.
pub fn sentinel_of(n: u8, all: &[u8], master: Address, epoch: u64) -> SentinelSeen {
    let others = all.iter().filter(|other| **other != n);
    SentinelSeen {
        id: sentinel_id(n),
        master: Some(master_row(master, epoch)),
        rows: Some(Rows {
            replicas: (1..=3).map(srv).filter(|at| *at != master).map(replica_row).collect(),
            sentinels: others
                .map(|other| SentinelRow { address: sen(*other), id: Some(sentinel_id(*other)), down_for: None })
                .collect(),
            quorum_ok: true,
            tilt: false,
        }),
    }
}

/// Sentinel `n` of three.
pub fn sentinel(n: u8, master: Address, epoch: u64) -> SentinelSeen {
    sentinel_of(n, &[1, 2, 3], master, epoch)
}

/// A Sentinel that monitors nothing.
pub fn bare(n: u8) -> SentinelSeen {
    SentinelSeen { id: sentinel_id(n), master: None, rows: Some(Rows { quorum_ok: false, ..Rows::default() }) }
}

pub fn rank(n: u8, offset: u64) -> Rank {
    Rank {
        has_data: true,
        epoch: Epoch(1),
        was_master_with_aof: false,
        history: "h1".into(),
        second: None,
        offset: Offset(offset),
        last_write: 0,
        address: srv(n),
        line: vec![],
        data: None,
    }
}

pub fn report(n: u8, offset: u64) -> Report {
    Report {
        rank: rank(n, offset),
        loading: false,
        has_state: false,
        was_master: false,
        never: false,
        known_servers: 3,
        servers: (1..=3).map(srv).collect(),
        engine: None,
    }
}

pub fn record(role: RecordedRole, master: Option<Address>) -> Record {
    Record {
        cluster: None,
        master_name: "mymaster".into(),
        role,
        master,
        epoch: Epoch(1),
        history: "h1".into(),
        second: None,
        earlier: vec![],
        offset: Offset(1000),
        appended: None,
        calm: None,
        clean: false,
        consent: None,
        servers: vec![srv(2), srv(3)],
        unsupervised: vec![],
        sentinels: vec![sen(1), sen(2), sen(3)],
    }
}

pub fn recovered(record: Record) -> Option<Recovered> {
    Some(Recovered { record, written: 1_700_000_000, rebooted: false })
}
