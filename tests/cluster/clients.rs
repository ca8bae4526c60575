//! Clients inside the cluster: this test binary, copied into a pod, because nothing else reaches pods of every cluster.

use std::io::{BufRead, BufReader, Write};
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::bed::secs;
use super::inside::MARK;
use super::kube::Kube;

/// How long one answer may take: filling takes the longest.
const PATIENCE: Duration = secs(240);

/// The pod's program, and our line to it.
pub struct Clients {
    program: Child,
    answers: Receiver<String>,
}

/// What became of the writers.
#[derive(Debug)]
pub struct Outcome {
    pub lost: u64,
    pub gap: Duration,
    pub acknowledged: u64,
    pub doubles: usize,
    whole: Value,
}

/// All of it, for whoever reads why a test failed.
impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.whole.fmt(f)
    }
}

impl Clients {
    /// Starts the pod and the program in it.
    #[track_caller]
    pub fn start(kube: &Kube, image: &str) -> Self {
        kube.apply(&[json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "clients" },
            "spec": { "terminationGracePeriodSeconds": 1, "enableServiceLinks": false, "containers": [{
                "name": "clients", "image": image, "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "86400"],
            }] },
        })]);
        kube.run(&["wait", "--for=condition=Ready", "pod/clients", "--timeout=50s"]);
        let program = std::env::current_exe().expect("a running program has a path");
        let mut copy = kube.start(&["exec", "--stdin", "clients", "--", "sh", "-c", "cat > /tmp/clients"]);
        let mut file = std::fs::File::open(program).expect("our own program can be read");
        std::io::copy(&mut file, &mut copy.stdin.take().expect("piped")).expect("the pod takes it");
        assert!(copy.wait().is_ok_and(|status| status.success()), "the clients' program was not copied");
        kube.run(&["exec", "clients", "--", "chmod", "0755", "/tmp/clients"]);
        let words =
            ["exec", "--stdin", "clients", "--", "/tmp/clients", "--ignored", "--exact", "in_a_pod", "--nocapture"];
        let mut program = kube.start(&words);
        let out = BufReader::new(program.stdout.take().expect("piped"));
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some(answer) = line.strip_prefix(MARK)
                    && sender.send(answer.to_owned()).is_err()
                {
                    return;
                }
            }
        });
        Clients { program, answers }
    }

    /// One order, one answer.
    #[track_caller]
    pub fn ask(&mut self, order: &Value) -> Value {
        let pipe = self.program.stdin.as_mut().expect("piped");
        writeln!(pipe, "{order}").and_then(|()| pipe.flush()).expect("the clients' pod is there");
        let answer = self.answers.recv_timeout(PATIENCE);
        let answer = answer.unwrap_or_else(|_| panic!("the clients' pod does not answer {order}"));
        let answer: Value = serde_json::from_str(&answer).expect("it writes JSON");
        assert!(answer["error"].is_null(), "{order}: {}", answer["error"]);
        answer
    }

    /// Stops the writers; the gap counts from `from_ms` on.
    #[track_caller]
    pub fn close(&mut self, from_ms: u64) -> Outcome {
        let whole = self.ask(&json!({ "do": "close", "from_ms": from_ms }));
        let number = |field: &str| whole[field].as_u64().unwrap_or(u64::MAX);
        Outcome {
            lost: number("lost"),
            gap: Duration::from_millis(number("gap_ms")),
            acknowledged: number("acknowledged"),
            doubles: whole["doubles"].as_array().map_or(usize::MAX, Vec::len),
            whole,
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.program.kill().ok();
        self.program.wait().ok();
    }
}
