//! P39 and P44: the control loop stands still, the supervisor sleeps, its wall clock jumps.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::bed::stopped::{MainThread, WallClock, tracing_works};
use super::bed::{self, Bed, Signal, Turn, command, http, ms, secs};

/// What the socket said over time, of one node.
#[derive(Default)]
struct Said {
    live_until: Option<Duration>,
    failed: Option<Duration>,
    slowest: Duration,
    ready_while_dead: bool,
    silent: usize,
}

impl Said {
    fn ask(&mut self, node: &bed::Node, since: Instant) {
        let mut get = |path| {
            let asked = Instant::now();
            let answer = http::over_socket(&node.socket(), "GET", path, secs(1)).ok();
            self.slowest = self.slowest.max(asked.elapsed());
            self.silent += usize::from(answer.is_none());
            answer.map(|(code, _)| code)
        };
        let (live, ready, status) = (get("/livez"), get("/readyz"), get("/status"));
        assert!(status.is_none_or(|code| code == 200), "{}: {status:?}", node.name);
        match live {
            Some(200) => self.live_until = Some(since.elapsed()),
            Some(_) => {
                self.failed.get_or_insert(since.elapsed());
                self.ready_while_dead |= ready == Some(200);
            }
            None => {}
        }
    }

    /// It failed at this age of the heartbeat, for good, and answered throughout.
    #[track_caller]
    fn failed_at(&self, limit: Duration, who: &str) {
        let failed = self.failed.unwrap_or_else(|| panic!("{who}: liveness never failed"));
        println!("{who}: not live after {failed:?}, slowest answer {:?}", self.slowest);
        // The loop beats every 500 ms, and we look every 200 ms.
        assert!(failed + ms(600) >= limit && failed <= limit + ms(1200), "{who}: not live after {failed:?}");
        assert!(self.live_until < Some(failed), "{who}: live again while its loop stood still");
        assert!(!self.ready_while_dead, "{who}: ready while not live");
        assert_eq!(self.silent, 0, "{who}: the socket did not answer");
        assert!(self.slowest < ms(500), "{who}: slowest answer {:?}", self.slowest);
    }
}

#[test]
fn p39_the_control_loop_stands_still_for_a_minute() {
    if !tracing_works() {
        println!("skipped: may not trace processes here");
        return;
    }
    let mut bed = Bed::up_beside(bed::plan());
    let (master, replica) = (bed.master(), bed.replicas().remove(0));
    let outcome = bed.event(|bed| {
        let _stopped = [&master, &replica].map(|name| MainThread::stop(bed.node(name).pid().unwrap()));
        let since = Instant::now();
        let mut said = [Said::default(), Said::default()];
        while since.elapsed() < secs(60) {
            said[0].ask(bed.node(&master), since);
            said[1].ask(bed.node(&replica), since);
            std::thread::sleep(ms(200));
        }
        said[0].failed_at(secs(5), "master");
        said[1].failed_at(secs(10), "replica");
    });
    outcome.lossless();
    for name in [&master, &replica] {
        bed.wait("live and ready again", secs(10), |cluster| {
            let node = cluster.node(name).unwrap();
            ["livez", "readyz"].iter().all(|probe| node.probe(probe).is_some_and(|(yes, _)| yes))
        });
    }
}

/// The lines of a node's log from an earlier length on.
fn log_from(bed: &Bed, name: &str, from: usize) -> String {
    let text = std::fs::read(bed.node(name).log()).unwrap();
    String::from_utf8_lossy(&text[from..]).into_owned()
}

fn log_length(bed: &Bed, name: &str) -> usize {
    usize::try_from(std::fs::metadata(bed.node(name).log()).unwrap().len()).unwrap()
}

/// The supervisor of `name` alone sleeps for 30 s, its engine serves on; what it logged from waking on.
fn sleeps(bed: &mut Bed, name: &str) -> String {
    let mut woke = 0;
    let outcome = bed.event(|bed| {
        bed.signal(name, Signal::SIGSTOP);
        std::thread::sleep(secs(30));
        woke = log_length(bed, name);
        bed.signal(name, Signal::SIGCONT);
        std::thread::sleep(secs(3));
    });
    outcome.lossless();
    assert_eq!(outcome.before, outcome.after, "somebody was promoted although the master served on");
    log_from(bed, name, woke)
}

#[test]
fn p44_a_masters_supervisor_sleeps_for_30_s() {
    let mut bed = Bed::up_beside(bed::plan());
    let master = bed.master();
    let log = sleeps(&mut bed, &master);
    println!("{log}");
    let at = |word: &str| log.lines().position(|line| line.contains(word));
    let (fenced, unfenced) = (at(" fence"), at(" unfence"));
    assert!(fenced.is_some(), "it went on by what it knew before it slept:\n{log}");
    assert!(fenced < unfenced, "fence first, ask, then unfence:\n{log}");
    assert_eq!(at(" lead"), None, "{log}");
}

#[test]
fn p44_a_replicas_supervisor_sleeps_for_30_s() {
    let mut bed = Bed::up_beside(bed::plan());
    let replica = bed.replicas().remove(0);
    let log = sleeps(&mut bed, &replica);
    println!("{log}");
    for word in [" lead", " candidate", " follow"] {
        assert!(!log.lines().any(|line| line.contains(word)), "{word} after it woke:\n{log}");
    }
}

/// Minutes of the day, of the newest line that the supervisor wrote about its status.
fn logged_minute(bed: &mut Bed, name: &str) -> i64 {
    let from = log_length(bed, name);
    bed.signal(name, Signal::SIGUSR1);
    let mut minute = None;
    bed.wait("the status in the log", secs(5), |cluster| {
        let text = std::fs::read(cluster.node(name).unwrap().log()).unwrap();
        let text = String::from_utf8_lossy(&text[from..]).into_owned();
        let line = text.lines().find(|line| line.contains(" status "));
        minute = line.and_then(|line| {
            let (hour, rest) = line.split_once('T')?.1.split_once(':')?;
            Some(hour.parse::<i64>().ok()? * 60 + rest.split_once(':')?.0.parse::<i64>().ok()?)
        });
        minute.is_some()
    });
    minute.unwrap()
}

fn true_minute() -> i64 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(seconds / 60 % (24 * 60)).unwrap()
}

fn history(bed: &Bed, name: &str) -> usize {
    bed.node(name).status().unwrap()["history"].as_array().unwrap().len()
}

/// A start goes on for a while: who needs an older login is known 10 s after the last that did.
fn nothing_is_decided_for(bed: &Bed, names: &[String], quiet: Duration) {
    let (mut seen, mut since) = (Vec::new(), Instant::now());
    bed.wait("nothing is decided any more", secs(90), |_| {
        let now: Vec<usize> = names.iter().map(|name| history(bed, name)).collect();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        since.elapsed() >= quiet
    });
}

#[test]
fn p44_the_wall_clock_jumps_by_an_hour() {
    let mut bed = Bed::prepare_in(Turn::beside(), bed::plan());
    let Some(clock) = WallClock::build(bed.cluster.dir()) else {
        println!("skipped: needs a C compiler");
        return;
    };
    let names: Vec<String> = bed.cluster.nodes.iter().map(|node| node.name.clone()).collect();
    for node in &mut bed.cluster.nodes {
        node.env.extend(clock.environment());
    }
    bed.cluster.start_all().unwrap();
    let master = bed.settle("at the start");
    nothing_is_decided_for(&bed, &names, secs(15));
    // An hour ahead, then two hours back: each way once.
    for seconds in [3600, -3600] {
        let before: Vec<usize> = names.iter().map(|name| history(&bed, name)).collect();
        let outcome = bed.event(|_| {
            clock.jump(seconds);
            std::thread::sleep(secs(8));
        });
        outcome.lossless().gap_within(ms(500));
        assert_eq!(outcome.after, master, "somebody was promoted");
        assert_eq!(names.iter().map(|name| history(&bed, name)).collect::<Vec<_>>(), before, "something was decided");
        for name in &names {
            // The clock did jump: their log shows it.
            let off = (logged_minute(&mut bed, name) - true_minute()).rem_euclid(24 * 60);
            let wanted = (seconds / 60).rem_euclid(24 * 60);
            assert!((off - wanted).abs() <= 1, "{name}: {off} minutes off, not {wanted}");
        }
    }
    // And back while a handover is under way.
    let outcome = bed.event(|bed| {
        let (code, text) = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(ms(300));
                clock.jump(3600);
            });
            command(bed.node(&master), &["handover"])
        });
        assert_eq!(code, Some(0), "{text}");
    });
    outcome.lossless().moved().gap_within(secs(3));
}
