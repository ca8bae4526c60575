//! Who carries the label `redinit.io/role=master`, in the order in which the API server wrote it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::kube::Kube;

const WHAT: &str = r#"jsonpath={.type} {.object.metadata.name} {.object.metadata.labels.redinit\.io/role}{"\n"}"#;
const DAY_MS: u64 = 86_400_000;

/// One change of a pod.
#[derive(Clone, Debug)]
struct Change {
    /// Milliseconds of this UTC day.
    at: u64,
    pod: String,
    master: bool,
}

/// A watch over the servers' pods, until it is ended.
pub struct Roles {
    watch: Child,
    changes: Arc<Mutex<Vec<Change>>>,
}

impl Roles {
    pub fn watch(kube: &Kube, label: &str) -> Self {
        let words = ["get", "pods", "--selector", label, "--watch", "--output-watch-events", "--output", WHAT];
        let mut watch = kube.start(&words);
        let changes = Arc::new(Mutex::new(Vec::new()));
        let (pipe, list) = (watch.stdout.take().expect("piped"), Arc::clone(&changes));
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let mut words = line.split(' ');
                let (Some(kind), Some(pod)) = (words.next(), words.next()) else { continue };
                let master = kind != "DELETED" && words.next() == Some("master");
                let change = Change { at: now_ms(), pod: pod.to_owned(), master };
                list.lock().unwrap_or_else(PoisonError::into_inner).push(change);
            }
        });
        Roles { watch, changes }
    }

    /// What it saw. Never do two pods carry the label at once.
    #[track_caller]
    pub fn end(mut self) -> Moves {
        self.watch.kill().ok();
        self.watch.wait().ok();
        let changes = std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner));
        assert!(!changes.is_empty(), "the watch of the pods' labels saw nothing");
        let (mut carry, mut came) = (BTreeSet::new(), Vec::new());
        for change in changes {
            let new = if change.master { carry.insert(change.pod.clone()) } else { carry.remove(&change.pod) };
            assert!(carry.len() <= 1, "two pods carry the label of the master: {carry:?}");
            if new && change.master {
                came.push(change);
            }
        }
        Moves(came)
    }
}

/// To which pods the label came, one after the other.
#[derive(Debug, Default)]
pub struct Moves(Vec<Change>);

impl Moves {
    /// How long after that pod's log says that it leads it was labelled; by the clocks of its node and of this machine.
    #[track_caller]
    pub fn after_promotion(&self, kube: &Kube, pod: &str) -> Duration {
        let log = kube.run(&["logs", pod, "--all-containers", "--tail=2000"]);
        let led = log.lines().filter(|line| line.contains(r#""event":"lead""#)).filter_map(of_day).next_back();
        let led = led.unwrap_or_else(|| panic!("the log of {pod} does not say that it leads:\n{log}"));
        let came = self.0.iter().rfind(|change| change.pod == pod);
        let came = came.unwrap_or_else(|| panic!("{pod} leads and never got the label: {self:?}"));
        let after = (came.at + DAY_MS - led) % DAY_MS;
        // A little before it, where the clocks differ.
        Duration::from_millis(if after > DAY_MS / 2 { 0 } else { after })
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default() % DAY_MS
}

/// The time of day of a log line in JSON: `{"ts":"2026-01-31T12:34:56.789Z" ..`, in milliseconds.
fn of_day(line: &str) -> Option<u64> {
    let time = line.split_once('T')?.1.get(..12)?;
    let number = |range| time.get(range).and_then(|text: &str| text.parse::<u64>().ok());
    Some(((number(0..2)? * 60 + number(3..5)?) * 60 + number(6..8)?) * 1000 + number(9..12)?)
}
