//! Too little memory.

use std::time::Instant;

use super::bed::{Turn, ms, secs, wire};
use super::container::Container;

#[test]
fn p26_an_engine_over_the_memory_limit_is_restarted_and_said() {
    let image = needs_image!();
    let _turn = Turn::alone();
    // No swap either; the append-only file keeps what was acknowledged.
    let options = ["--memory", "48m", "--memory-swap", "48m"];
    let server = Container::run("alone", &options, image, &["--appendonly", "yes", "--appendfsync", "always"]);
    server.wait_for("readyz", secs(20));
    assert_eq!(server.ask(&["SET", "kept", "yes"]), wire::Reply::Status("OK".into()));
    let first = child(&server);
    let mut link = wire::Connection::open(server.at(6379), secs(5)).unwrap();
    // Nothing of this is written to the file, so that the next life fits again.
    for _ in 0..64 {
        if link.call(&["EVAL", "return #string.rep('x', 64 * 1024 * 1024)", "0"]).is_err() {
            break;
        }
    }
    let end = Instant::now() + secs(30);
    while child(&server) == first || server.probe("readyz").is_err() {
        assert!(Instant::now() < end, "the engine was not killed and restarted\n{}", server.log());
        std::thread::sleep(ms(100));
    }
    assert_eq!(server.ask(&["GET", "kept"]).text().as_deref(), Some("yes"));
    assert_eq!(server.inspect("{{.State.Running}} {{.RestartCount}}"), "true 0", "PID 1 went with it");
    let log = super::cli::answer(&["logs", &server.id]).1;
    assert!(log.contains("out of memory"), "nothing of it in the log:\n{log}");
}

/// The engine's pid and how often it was restarted.
fn child(server: &Container) -> String {
    let status = server.probe("status").unwrap_or_default();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
    status["engine"]["restarts"].to_string()
}
