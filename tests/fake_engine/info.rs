//! `INFO`, in the words of 7.0.15, for a server with no data.

use super::record::run_id;
use super::server::{Engine, Role};

const REPLID: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

pub fn info(engine: &Engine, sections: &[String]) -> String {
    let all = sections.is_empty() || sections.iter().any(|s| matches!(s.as_str(), "all" | "everything" | "default"));
    let parts = [
        ("server", server(engine)),
        ("clients", "# Clients\r\nconnected_clients:1\r\nmaxclients:10000\r\nblocked_clients:0\r\n".to_owned()),
        ("memory", "# Memory\r\nused_memory:1000000\r\nmaxmemory:0\r\n".to_owned()),
        ("persistence", persistence(engine)),
        ("stats", "# Stats\r\ntotal_connections_received:1\r\nsync_full:0\r\nsync_partial_ok:0\r\n".to_owned()),
        ("replication", replication(engine)),
        ("keyspace", "# Keyspace\r\n".to_owned()),
    ];
    let wanted = parts.iter().filter(|(name, _)| all || sections.iter().any(|section| section == name));
    wanted.map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\r\n")
}

fn server(engine: &Engine) -> String {
    let mut text = format!(
        "# Server\r\nredis_version:7.0.15\r\nredis_mode:{}\r\narch_bits:64\r\nprocess_id:{}\r\nrun_id:{}\r\ntcp_port:{}\r\nuptime_in_seconds:{}\r\nexecutable:fake\r\nconfig_file:{}\r\n",
        if engine.settings.sentinel { "sentinel" } else { "standalone" },
        std::process::id(),
        run_id(),
        engine.get("port").unwrap_or_default(),
        engine.uptime().as_secs(),
        engine.settings.file.display(),
    );
    if let Some(left) = engine.shutdown_left() {
        text.push_str(&format!("shutdown_in_milliseconds:{}\r\n", left.as_millis()));
    }
    text
}

fn persistence(engine: &Engine) -> String {
    let loading = u8::from(engine.loading());
    format!(
        "# Persistence\r\nloading:{loading}\r\nasync_loading:0\r\nrdb_changes_since_last_save:0\r\nrdb_bgsave_in_progress:0\r\nrdb_last_save_time:1700000000\r\nrdb_last_bgsave_status:ok\r\naof_enabled:0\r\naof_rewrite_in_progress:0\r\naof_last_bgrewrite_status:ok\r\naof_last_write_status:ok\r\n"
    )
}

fn replication(engine: &Engine) -> String {
    let head = match engine.role() {
        Role::Master => "role:master\r\n".to_owned(),
        Role::Replica(host, port) => format!(
            "role:slave\r\nmaster_host:{host}\r\nmaster_port:{port}\r\nmaster_link_status:down\r\nmaster_last_io_seconds_ago:-1\r\nmaster_sync_in_progress:0\r\nslave_read_repl_offset:0\r\nslave_repl_offset:0\r\nmaster_link_down_since_seconds:-1\r\nslave_priority:{}\r\nslave_read_only:1\r\nreplica_announced:1\r\n",
            engine.get("replica-priority").unwrap_or_else(|| "100".into()),
        ),
    };
    format!(
        "# Replication\r\n{head}connected_slaves:0\r\nmaster_failover_state:no-failover\r\nmaster_replid:{REPLID}\r\nmaster_replid2:{}\r\nmaster_repl_offset:0\r\nsecond_repl_offset:-1\r\nrepl_backlog_active:0\r\nrepl_backlog_size:1048576\r\n",
        "0".repeat(40)
    )
}
