//! Volumes, where the cluster makes none by itself: folders of a node, as a cluster with one node can have them.

use serde_json::{Value, json};

use super::kube::Kube;
use super::shape::image;

/// Where they are on the node.
const FOLDER: &str = "/var/tmp/redinit-cluster-test";
/// As many as a StatefulSet of the tests ever claims.
const COUNT: usize = 5;

/// The volumes; removed when dropped.
pub struct Disks {
    namespace: String,
}

impl Disks {
    /// Makes them, unless there is a default storage class.
    #[track_caller]
    pub fn where_needed(kube: &Kube) -> Option<Self> {
        let classes = kube.json(&["get", "storageclasses"]);
        let default = "storageclass.kubernetes.io/is-default-class";
        let is_default = |class: &Value| class["metadata"]["annotations"][default] == "true";
        if classes["items"].as_array().into_iter().flatten().any(is_default) {
            return None;
        }
        let disks = Disks { namespace: kube.namespace.clone() };
        disks.remove();
        // A node's folder belongs to root, whatever a pod's fsGroup says.
        let make = format!("rm -rf {FOLDER}/*; for n in $(seq {COUNT}); do mkdir -m 0777 {FOLDER}/$n; done");
        kube.apply(&[json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "disks" },
            "spec": {
                "restartPolicy": "Never", "securityContext": { "runAsUser": 0 },
                "containers": [{
                    "name": "disks", "image": image(), "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-ec", make],
                    "volumeMounts": [{ "name": "folder", "mountPath": FOLDER }],
                }],
                "volumes": [{ "name": "folder", "hostPath": { "path": FOLDER, "type": "DirectoryOrCreate" } }],
            },
        })]);
        kube.wait("making folders", super::bed::secs(60), || {
            let phase = kube.run(&["get", "pod", "disks", "--output", "jsonpath={.status.phase}"]);
            if phase == "Succeeded" { Ok(()) } else { Err(phase) }
        });
        let volume = |n: usize| {
            json!({
                "apiVersion": "v1", "kind": "PersistentVolume",
                "metadata": { "name": disks.name(n), "labels": { "redinit-test": disks.namespace } },
                "spec": {
                    "capacity": { "storage": "8Gi" }, "accessModes": ["ReadWriteOnce"],
                    "persistentVolumeReclaimPolicy": "Retain", "hostPath": { "path": format!("{FOLDER}/{n}") },
                },
            })
        };
        kube.apply(&(1..=COUNT).map(volume).collect::<Vec<_>>());
        Some(disks)
    }

    fn name(&self, number: usize) -> String {
        format!("{}-{number}", self.namespace)
    }

    fn remove(&self) {
        let label = format!("redinit-test={}", self.namespace);
        let words =
            ["kubectl", "delete", "persistentvolumes", "--selector", &label, "--ignore-not-found", "--wait=false"];
        let done = std::process::Command::new("timeout").arg("60").args(words).output();
        if let Err(error) = done {
            eprintln!("volumes are left: {error}");
        }
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        self.remove();
    }
}
