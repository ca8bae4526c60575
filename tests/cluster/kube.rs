//! The `kubectl` command, in one namespace.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bed::{ms, secs};

/// How long one command may take.
const LIMIT: &str = "60";

/// One namespace; removed when dropped.
pub struct Kube {
    pub namespace: String,
}

impl Kube {
    /// A new namespace. One of that name that is left from an earlier run goes first.
    #[track_caller]
    pub fn fresh(namespace: &str) -> Self {
        let kube = Kube { namespace: namespace.to_owned() };
        kube.remove();
        kube.run(&["create", "namespace", namespace]);
        kube
    }

    /// Runs it; what it printed, or what it complained of.
    pub fn attempt(&self, words: &[&str], input: Option<&str>) -> Result<String, String> {
        let mut child = self.command(words).stdin(stdin(input)).spawn().map_err(|error| format!("kubectl: {error}"))?;
        if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
            pipe.write_all(input.as_bytes()).map_err(|error| format!("kubectl: {error}"))?;
        }
        let output = child.wait_with_output().map_err(|error| format!("kubectl: {error}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(format!("kubectl {}: {}", words.join(" "), String::from_utf8_lossy(&said).trim()))
    }

    /// The same, where a failure fails the test.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> String {
        self.attempt(words, None).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What it prints as JSON.
    #[track_caller]
    pub fn json(&self, words: &[&str]) -> Value {
        let text = self.run(&[words, &["--output", "json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("kubectl {words:?}: {error}"))
    }

    /// Applies objects.
    #[track_caller]
    pub fn apply(&self, objects: &[Value]) {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
        self.attempt(&["apply", "--validate=false", "--filename", "-"], Some(&list.to_string()))
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Starts one that goes on, with its pipes.
    pub fn start(&self, words: &[&str]) -> Child {
        let mut command = Command::new("kubectl");
        command.args(["--namespace", &self.namespace]).args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("kubectl is there")
    }

    /// The running pods with such a label.
    pub fn pods(&self, label: &str) -> Vec<Pod> {
        let list = self.json(&["get", "pods", "--selector", label]);
        list["items"].as_array().into_iter().flatten().map(Pod::of).collect()
    }

    /// Waits until `done` says so.
    #[track_caller]
    pub fn wait(&self, what: &str, limit: Duration, mut done: impl FnMut() -> Result<(), String>) -> Duration {
        let began = Instant::now();
        loop {
            let Err(reason) = done() else { return began.elapsed() };
            if began.elapsed() > limit {
                panic!("{what} did not happen within {limit:?}: {reason}\n{}", self.picture());
            }
            std::thread::sleep(ms(500));
        }
    }

    /// What is there, for whoever reads why a test failed.
    pub fn picture(&self) -> String {
        let pods = self.attempt(&["get", "pods", "--output", "wide"], None).unwrap_or_else(|error| error);
        let mut all = vec![pods];
        for pod in self.attempt(&["get", "pods", "--output", "name"], None).unwrap_or_default().lines() {
            let words = ["exec", pod, "--", "redinit", "status"];
            let said = self.attempt(&words, None).unwrap_or_else(|error| error);
            let log = self.attempt(&["logs", pod, "--all-containers", "--tail", "200"], None);
            all.push(format!("== {pod}\n{said}\n{}", log.unwrap_or_else(|error| error)));
        }
        all.join("\n")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", LIMIT, "kubectl", "--namespace", &self.namespace]).args(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn remove(&self) {
        let words = ["delete", "namespace", &self.namespace, "--ignore-not-found", "--wait=false"];
        self.attempt(&words, None).ok();
        self.attempt(&["delete", "pods", "--all", "--grace-period=1", "--wait=false"], None).ok();
        let end = Instant::now() + secs(90);
        while self.attempt(&["get", "namespace", &self.namespace], None).is_ok() && Instant::now() < end {
            std::thread::sleep(ms(500));
        }
    }
}

impl Drop for Kube {
    fn drop(&mut self) {
        self.remove();
    }
}

fn stdin(input: Option<&str>) -> Stdio {
    if input.is_some() { Stdio::piped() } else { Stdio::null() }
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    pub name: String,
    pub uid: String,
    pub address: Option<std::net::IpAddr>,
    pub ready: bool,
    /// Every container runs.
    pub runs: bool,
    pub ending: bool,
    pub restarts: u64,
}

impl Pod {
    fn of(item: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let status = &item["status"];
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let containers = status["containerStatuses"].as_array().into_iter().flatten();
        Pod {
            name: text(&item["metadata"]["name"]),
            uid: text(&item["metadata"]["uid"]),
            address: status["podIP"].as_str().and_then(|address| address.parse().ok()),
            ready: conditions.clone().any(|one| one["type"] == "Ready" && one["status"] == "True"),
            runs: containers.clone().count() > 0 && containers.clone().all(|one| !one["state"]["running"].is_null()),
            ending: !item["metadata"]["deletionTimestamp"].is_null(),
            restarts: containers.filter_map(|one| one["restartCount"].as_u64()).sum(),
        }
    }
}
