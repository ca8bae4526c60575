//! The ways in which people run the official images.

use std::io::Write;
use std::net::SocketAddr;

use super::bed::{self, Turn, secs, wire};
use super::container::Container;
use super::image;

#[track_caller]
fn write(server: &Container) {
    server.wait_for("readyz", secs(20));
    assert_eq!(server.ask(&["SET", "k", "v"]), wire::Reply::Status("OK".into()));
}

#[test]
fn docker_run_alone_is_a_server_that_takes_writes() {
    let image = needs_image!();
    let _turn = Turn::alone();
    let server = Container::run("alone", &[], image, &[]);
    write(&server);
    assert_eq!(server.config("appendonly").as_deref(), Some("no"), "the engine's own default");
    assert_eq!(super::cli::docker(&["diff", &server.id]), "", "it writes outside its two places");
    let (status, took) = server.stop(secs(60));
    println!("docker stop of a single server: {took:?}");
    assert_eq!(status, 0);
    assert!(took < secs(5), "nobody could take over, and it took {took:?}");
}

#[test]
fn docker_run_with_appendonly_keeps_the_data_over_a_restart() {
    let image = needs_image!();
    let _turn = Turn::alone();
    let mut server = Container::run("alone", &["--read-only"], image, &["--appendonly", "yes"]);
    write(&server);
    assert_eq!(server.config("appendonly").as_deref(), Some("yes"));
    super::cli::docker(&["kill", &server.id]);
    server.start();
    server.wait_for("readyz", secs(20));
    assert_eq!(server.ask(&["GET", "k"]).text().as_deref(), Some("v"));
}

#[test]
fn docker_run_with_a_configuration_file_uses_it() {
    let image = needs_image!();
    let _turn = Turn::alone();
    let file = readable("maxmemory 7mb\n");
    let mount = format!("{}:/usr/local/etc/redis/redis.conf:ro", file.path().display());
    for words in [["/usr/local/etc/redis/redis.conf"].as_slice(), &["redis-server", "/usr/local/etc/redis/redis.conf"]]
    {
        let server = Container::run("alone", &["--volume", &mount], image, words);
        write(&server);
        assert_eq!(server.config("maxmemory").as_deref(), Some("7340032"), "{words:?}");
    }
}

#[test]
fn docker_run_redis_sentinel_watches_the_master_of_its_file() {
    let image = needs_image!();
    let _turn = Turn::alone();
    let server = Container::run("alone", &[], image, &[]);
    write(&server);
    let file = readable(&format!("sentinel monitor mymaster {} 6379 1\n", server.ip()));
    let mount = format!("{}:/etc/sentinel.conf:ro", file.path().display());
    let sentinel = Container::run("sentinel", &["--volume", &mount], image, &["redis-sentinel", "/etc/sentinel.conf"]);
    sentinel.wait_for("readyz", secs(30));
    let named = redinit::demo::sentinels::Sentinels::new(vec![sentinel.at(26379)], "mymaster").majority();
    assert_eq!(named, Some(SocketAddr::new(server.ip(), 6379)));
}

#[test]
fn any_user_and_group_with_a_volume_of_its_own() {
    let image = needs_image!();
    let _turn = Turn::alone();
    let data = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(data.path(), Some(12345), Some(23456)).unwrap();
    let mount = format!("{}:/data", data.path().display());
    let server = Container::run("alone", &["--user", "12345:23456", "--read-only", "--volume", &mount], image, &[]);
    write(&server);
}

#[test]
fn on_redis_s_official_image_it_runs_redis() {
    needs_image!();
    let _turn = Turn::alone();
    let image = match image::on_redis() {
        Ok(image) => image,
        Err(reason) => return bed::say_skipped("on_redis_s_official_image_it_runs_redis", &reason),
    };
    let server = Container::run("alone", &["--read-only"], &image, &["redis-server", "--appendonly", "yes"]);
    write(&server);
    let status: serde_json::Value = serde_json::from_str(&server.probe("status").unwrap()).unwrap();
    assert_eq!(status["engine"]["name"], "redis");
}

/// A file that everybody may read.
fn readable(text: &str) -> tempfile::NamedTempFile {
    use std::os::unix::fs::PermissionsExt;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.as_file().set_permissions(PermissionsExt::from_mode(0o644)).unwrap();
    file
}
