//! A node's end, and a cut API, as far as a test can make them.

use std::process::Command;

use serde_json::json;

use super::bed::secs;
use super::kube::{Kube, Pod};
use super::shape::image;

/// SIGKILL for every process of a pod, its sandbox included, by a pod on the same node that sees all processes.
#[track_caller]
pub fn kill_everything_in(kube: &Kube, pod: &Pod) {
    let node = kube.run(&["get", "pod", &pod.name, "--output", "jsonpath={.spec.nodeName}"]);
    // cgroups name a pod by its uid, with either sign between its parts.
    let pattern = pod.uid.replace('-', "[-_]");
    let kill = format!(
        "for f in /proc/[0-9]*/cgroup; do if grep -q '{pattern}' $f 2>/dev/null; then p=${{f#/proc/}}; \
         echo ${{p%/cgroup}}; fi; done | xargs -r kill -9; true"
    );
    let name = format!("reaper-{}", pod.uid);
    kube.apply(&[json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": {
            "nodeName": node, "hostPID": true, "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "reaper", "image": image(), "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", kill],
                "securityContext": { "runAsUser": 0 },
            }],
        },
    })]);
    // Some were gone before their turn came, so kill's own word says nothing: its containers must have been started anew.
    kube.wait("the end of a pod", secs(60), || {
        let words = ["get", "pod", &pod.name, "--output", "jsonpath={.status.containerStatuses[*].restartCount}"];
        let restarts = kube.run(&words);
        if restarts.split(' ').all(|count| count != "0") { Ok(()) } else { Err(restarts) }
    });
}

/// A rule of the firewall that lets nothing of a pod reach the API server; gone when dropped.
pub struct Cut {
    rule: Vec<String>,
}

/// Only where the API server is on this machine, and we may change its firewall.
pub fn cut_off_the_api(kube: &Kube, pod: &Pod) -> Result<Cut, String> {
    let slices = kube.run(&["get", "endpoints", "kubernetes", "--namespace=default", "--output=json"]);
    let endpoints: serde_json::Value = serde_json::from_str(&slices).map_err(|error| error.to_string())?;
    let ip = endpoints["subsets"][0]["addresses"][0]["ip"].as_str().ok_or("the API server has no address")?.to_owned();
    let port = endpoints["subsets"][0]["ports"][0]["port"].to_string();
    let own = Command::new("ip").args(["-o", "addr", "show", "to", &ip]).output();
    if own.map_or(true, |output| output.stdout.is_empty()) {
        return Err("the API server is not on this machine".to_owned());
    }
    let from = pod.address.ok_or("the pod has no address")?.to_string();
    let words = ["INPUT", "-s", &from, "-p", "tcp", "--dport", &port, "-j", "DROP"];
    let cut = Cut { rule: words.iter().map(|word| (*word).to_owned()).collect() };
    cut.firewall("-I")?;
    Ok(cut)
}

impl Cut {
    fn firewall(&self, what: &str) -> Result<(), String> {
        let done = Command::new("iptables").arg("-w").arg(what).args(&self.rule).output();
        match done {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(format!("iptables: {error}")),
        }
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if let Err(error) = self.firewall("-D") {
            eprintln!("a rule is left in the firewall: {error}");
        }
    }
}
