//! Probes by `docker exec` and by the image's own check, and what timed-out ones leave behind.

use std::time::{Duration, Instant};

use super::bed::{Turn, ms, secs};
use super::cluster::CONFINED;
use super::container::Container;

#[test]
fn g_probes_by_exec_answer_at_a_tenth_of_a_processor() {
    let image = needs_image!();
    let _turn = Turn::alone();
    let server = Container::run("alone", CONFINED, image, &[]);
    server.wait_for("readyz", secs(20));
    for words in [
        ["/live_check.sh"].as_slice(),
        &["/ready_check.sh"],
        &["/sentinel_check.sh"],
        &["redinit", "probe", "live"],
        &["redinit", "probe", "startup"],
        &["redinit", "probe", "master"],
    ] {
        let (status, said) = server.exec(words);
        assert_eq!(status, Some(0), "{words:?}: {said}");
    }
    let (status, said) = server.exec(&["redinit", "probe", "replica"]);
    assert_eq!(status, Some(1), "{said}");
    let mut took: Vec<Duration> = (0..20)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(server.exec(&["/live_check.sh"]).0, Some(0));
            began.elapsed()
        })
        .collect();
    took.sort();
    println!("docker exec of a probe at 0.1 processor: median {:?}, longest {:?}", took[10], took[19]);
    assert!(took[19] < secs(5), "longer than the image's own check may take: {took:?}");
    let end = Instant::now() + secs(30);
    while server.inspect("{{.State.Health.Status}}") != "healthy" {
        assert!(Instant::now() < end, "not healthy: {}", server.inspect("{{json .State.Health}}"));
        std::thread::sleep(ms(200));
    }
}

/// A shell and two others that are killed with it: nobody but PID 1 is left to wait for them.
const TIMES_OUT: &str = "timeout -s KILL 0.05 sh -c 'sleep 60 & sleep 60'";

#[test]
fn p24_a_thousand_execs_that_time_out_leave_nobody_behind() {
    let image = needs_image!();
    let _turn = Turn::alone();
    let server = Container::run("alone", &["--cap-drop", "ALL", "--read-only"], image, &[]);
    server.wait_for("readyz", secs(20));
    let before = processes(&server);
    let began = Instant::now();
    // Ten at a time, as ten kubelets would; each exec is a hundred probes, which saves the test a quarter of an hour.
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                let all = format!("for n in $(seq 100); do {TIMES_OUT}; [ $? = 137 ] || exit 1; done 2>/dev/null");
                let (status, said) = server.exec(&["sh", "-c", &all]);
                assert_eq!(status, Some(0), "one was not killed: {said}");
            });
        }
    });
    println!("1,000 execs that timed out, in {:?}", began.elapsed());
    let end = Instant::now() + secs(2);
    while processes(&server) != before {
        assert!(Instant::now() < end, "left behind: {:?}, before {before:?}", processes(&server));
        std::thread::sleep(ms(100));
    }
    server.wait_for("livez", secs(1));
}

/// Every process but those of the question itself, with its state; zombies among them.
fn processes(server: &Container) -> Vec<String> {
    let (status, text) = server.exec(&["sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null"]);
    assert!(status.is_some(), "{text}");
    let asking = |line: &&str| !line.contains("(sh)") && !line.contains("(cat)") || line.contains(") Z ");
    let short = |line: &str| {
        let (number, rest) = line.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        // Running or asleep is all the same; a zombie is not.
        Some(format!("{number} {name}{}", if rest.starts_with('Z') { " zombie" } else { "" }))
    };
    text.lines().filter(asking).filter_map(short).collect()
}
