//! From settings to the core's rules.

use crate::config::settings::{Elector, Settings};
use crate::core::id::Address;
use crate::core::label::Labels;
use crate::core::notice::Notices;
use crate::core::rules::{ElectorRule, Mode, Rules};
use crate::engine::{Engine, OwnConfig};

/// What the core decides by. `nonce` is random and new at every start.
pub fn rules(settings: &Settings, own: &OwnConfig, engine: &Engine, nonce: u64) -> Rules {
    let listed = |list: &[crate::config::settings::HostPort]| {
        list.iter().filter_map(|at| Address::parse(&at.host, at.port)).collect::<Vec<_>>()
    };
    let listed_sentinels = if settings.sentinels.len() > 1 { listed(&settings.sentinels) } else { Vec::new() };
    let listed_servers = if settings.servers.len() > 1 { listed(&settings.servers) } else { Vec::new() };
    let elector = match settings.elector {
        Elector::None => ElectorRule::None,
        Elector::DefaultHttp(_) => ElectorRule::Default,
        Elector::Http(_) | Elector::File(_) | Elector::Kubernetes => ElectorRule::Explicit,
    };
    Rules {
        mode: settings.mode,
        master_name: settings.master_name.clone(),
        cluster_id: settings.cluster_id.clone(),
        me: Address::new(settings.announce_ip, settings.port),
        quorum: settings.quorum,
        down_after: settings.down_after,
        failover_timeout: settings.failover_timeout,
        expected_servers: settings.expected_servers,
        sentinels_configured: !settings.sentinels.is_empty() || settings.mode == Mode::Sentinel,
        sentinels_listed: listed_sentinels,
        servers_listed: listed_servers,
        servers_configured: !settings.servers.is_empty(),
        elector,
        in_kubernetes: settings.in_kubernetes,
        priority: own.priority.unwrap_or(100),
        grace: settings.grace_period,
        restart_max: settings.restart.max,
        restart_within: settings.restart.within,
        engine: engine.kind(),
        labels: if settings.pod.as_ref().is_some_and(|pod| pod.role_label.is_some()) {
            Labels::On
        } else {
            Labels::Off
        },
        notices: settings.pod.as_ref().map_or(Notices::Off, |pod| pod.events),
        nonce,
    }
}
