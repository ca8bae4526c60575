//! The manifests, as objects, and what is patched over them for a test: the image, its pull policy, shorter probes in CI, and
//! kinds that an old cluster does not know yet.

use serde_json::{Value, json};

use super::kube::Kube;

/// A manifest, and what its parts are called.
#[derive(Debug)]
pub struct Shape {
    pub name: &'static str,
    /// Its file, from the repository's root.
    pub file: &'static str,
    pub servers: &'static str,
    pub sentinels: &'static str,
    pub server_label: &'static str,
    pub sentinel_label: &'static str,
    /// Where clients ask.
    pub sentinel_service: &'static str,
    /// The group's name in its Sentinels.
    pub master_name: &'static str,
    /// The lease of its elector.
    pub lease: &'static str,
    /// What is written outlives all pods.
    pub keeps_data: bool,
}

/// `examples/kubernetes/deployment.yaml`.
pub const CLASSIC: Shape = Shape {
    name: "classic",
    file: "examples/kubernetes/deployment.yaml",
    servers: "deployment/redis-server",
    sentinels: "deployment/redis-sentinel",
    server_label: "app=redis-server",
    sentinel_label: "app=redis-sentinel",
    sentinel_service: "redis-sentinel-service:26379",
    master_name: "mymaster",
    lease: "redis-master",
    keeps_data: false,
};

/// What people have who come from a shell image.
pub const BEFORE: Shape = Shape { name: "before", file: "tests/cluster/before.yaml", ..CLASSIC };

/// `examples/kubernetes/statefulset.yaml`.
pub const STATEFUL: Shape = Shape {
    name: "stateful",
    file: "examples/kubernetes/statefulset.yaml",
    servers: "statefulset/redis",
    sentinels: "statefulset/redis-sentinel",
    server_label: "app.kubernetes.io/name=redinit,app.kubernetes.io/component=server",
    sentinel_label: "app.kubernetes.io/name=redinit,app.kubernetes.io/component=sentinel",
    sentinel_service: "redis-sentinel:26379",
    master_name: "redis",
    lease: "redis",
    keeps_data: true,
};

/// `charts/redinit` with the values of `tests/cluster/chart-values.yaml`.
pub const CHART: Shape = Shape {
    name: "chart",
    file: "charts/redinit",
    servers: "statefulset/cache-redinit",
    sentinels: "statefulset/cache-redinit-sentinel",
    server_label: "app.kubernetes.io/instance=cache,app.kubernetes.io/component=server",
    sentinel_label: "app.kubernetes.io/instance=cache,app.kubernetes.io/component=sentinel",
    sentinel_service: "cache-redinit-sentinel:26379",
    master_name: "mymaster",
    lease: "cache-redinit",
    keeps_data: true,
};

/// The image under test.
pub fn image() -> String {
    std::env::var("REDINIT_IMAGE").unwrap_or_else(|_| "redinit:0.1.0".to_owned())
}

impl Shape {
    /// Its objects, ready to be applied to this cluster.
    #[track_caller]
    pub fn objects(&self, kube: &Kube) -> Vec<Value> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(self.file);
        match self.file.strip_suffix(".yaml") {
            Some(_) => objects(kube, &std::fs::read_to_string(path).expect("the manifest is there")),
            None => objects(kube, &rendered(self.file, &kube.namespace)),
        }
    }
}

/// The chart, by Helm's own library.
#[track_caller]
fn rendered(chart: &str, namespace: &str) -> String {
    let python = std::env::var_os("CHART_PYTHON").expect("asked for before");
    let words = ["tests/chart/helm.py", "render", chart, "tests/cluster/chart-values.yaml"];
    let mut command = std::process::Command::new(python);
    command.args(words).env("CHART_NAMESPACE", namespace).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rendered: Value = serde_json::from_slice(&output.stdout).expect("it writes JSON");
    json!({ "apiVersion": "v1", "kind": "List", "items": rendered["objects"] }).to_string()
}

/// The objects of a manifest, with the image under test.
#[track_caller]
pub fn objects(kube: &Kube, manifest: &str) -> Vec<Value> {
    let known = kube.run(&["api-versions"]);
    let manifest = match known.lines().any(|version| version == "policy/v1") {
        true => manifest.to_owned(),
        false => manifest.replace("policy/v1\n", "policy/v1beta1\n").replace("\"policy/v1\"", "\"policy/v1beta1\""),
    };
    // An old cluster does not know every field; whether each is one, tests/chart has seen.
    let words = ["create", "--dry-run=client", "--validate=false", "--output", "json", "--filename", "-"];
    let made = kube.attempt(&words, Some(&manifest)).unwrap_or_else(|error| panic!("{error}"));
    let mut objects = Vec::new();
    for object in serde_json::Deserializer::from_str(&made).into_iter::<Value>() {
        let object = object.expect("kubectl writes JSON");
        match object["items"].as_array() {
            Some(items) => objects.extend(items.iter().cloned()),
            None => objects.push(object),
        }
    }
    for object in &mut objects {
        patch(object);
    }
    objects
}

fn patch(object: &mut Value) {
    let pod = if object["kind"] == "Pod" { "/spec/containers" } else { "/spec/template/spec/containers" };
    let containers = object.pointer_mut(pod).and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        container["image"] = json!(image());
        container["imagePullPolicy"] = json!("IfNotPresent");
        // CI has an hour for everything.
        if std::env::var_os("CI").is_some() && !container["readinessProbe"].is_null() {
            container["readinessProbe"]["initialDelaySeconds"] = json!(2);
            container["readinessProbe"]["periodSeconds"] = json!(2);
        }
    }
}
