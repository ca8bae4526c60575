//! How a Sentinel shows itself to a look.

use std::time::Duration;

use redinit::core::action::Depth;
use redinit::core::cluster::ClusterId;
use redinit::core::id::{Epoch, Offset, RunId, SentinelId};
use redinit::core::seen::{MasterRow, ReplicaRow, Rows, SentinelRow, SentinelSeen};

use super::{Id, Sentinel};

/// A `myid` as text.
pub fn text(id: Id) -> SentinelId {
    let (cluster, node) = ((id >> 64) as u64, id as u64);
    match cluster {
        0 => SentinelId(format!("{node:040x}")),
        made => SentinelId::of_cluster(&ClusterId::made(made).tag(), &format!("{node:016x}")),
    }
}

impl Sentinel {
    /// What a look shows now.
    pub fn seen(&self, depth: Depth, now: u64) -> SentinelSeen {
        let ago = |then: u64| Duration::from_micros(now - then.min(now));
        let master = self.m.as_ref().map(|m| MasterRow {
            // GET-MASTER-ADDR-BY-NAME: the row itself shows the old address at the new epoch until `+switch-master`.
            address: m.named(),
            run_id: m.inst.run.map(|r| RunId(format!("run{r:016x}"))),
            epoch: Epoch(m.config_epoch),
            s_down: m.inst.s_down(),
            o_down: m.o_down,
            disconnected: !m.inst.connected,
            failover: m.in_failover(),
            says_replica: !m.inst.role_master,
            last_ok_ping: ago(m.inst.last_avail),
            ping_unanswered: (m.inst.act_ping != 0).then(|| ago(m.inst.act_ping)),
            down_after: Duration::from_micros(self.down_after),
            quorum: self.quorum,
        });
        let rows = (depth == Depth::Full).then(|| self.rows(now));
        SentinelSeen { id: text(self.id), master, rows }
    }

    fn rows(&self, now: u64) -> Rows {
        let ago = |then: u64| Duration::from_micros(now - then.min(now));
        let Some(m) = &self.m else { return Rows { tilt: self.tilt(), ..Rows::default() } };
        Rows {
            replicas: m
                .replicas
                .values()
                .map(|i| ReplicaRow {
                    address: i.addr,
                    promoted: m.promoted == Some(i.addr),
                    s_down: i.s_down(),
                    down_for: if i.s_down() { ago(i.s_down_since) } else { Duration::ZERO },
                    disconnected: !i.connected,
                    // As the driver reads it where there has been none.
                    info_refresh: if i.info_at == 0 { Duration::from_secs(365 * 24 * 3600) } else { ago(i.info_at) },
                    priority: i.priority,
                    offset: Offset(i.offset),
                    link_up: i.link_up,
                })
                .collect(),
            sentinels: m
                .sentinels
                .iter()
                .map(|(&id, i)| SentinelRow {
                    address: i.addr,
                    id: Some(text(id)),
                    down_for: i.s_down().then(|| ago(i.s_down_since)),
                })
                .collect(),
            quorum_ok: self.quorum_ok(),
            tilt: self.tilt(),
        }
    }
}
