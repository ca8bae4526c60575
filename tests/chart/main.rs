//! The chart, by Helm's own library: linted, rendered over a set of values, every object checked against Kubernetes'
//! schemas; the manifests likewise. `CHART_PYTHON` is a Python that has what `make chart-tools` installs.
#![allow(clippy::disallowed_methods, reason = "tests have no reaper to race with")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

mod readme;

const CHART: &str = "charts/redinit";
/// The oldest and the newest Kubernetes whose schemas are at hand.
const VERSIONS: [&str; 2] = ["1.25", "1.37"];

#[path = "../bed/skipped.rs"]
mod skipped;

/// Prints why and returns, where Helm cannot be had.
macro_rules! needs_helm {
    ($name:literal) => {
        if let Err(reason) = python() {
            return crate::skipped::say_skipped($name, &reason);
        }
    };
}

// After the macro, which it uses.
mod single;

fn python() -> Result<PathBuf, String> {
    let path = std::env::var_os("CHART_PYTHON").ok_or("CHART_PYTHON is not set: no Helm to render with")?;
    let path = PathBuf::from(path);
    if path.is_file() { Ok(path) } else { Err(format!("{} is not there: make chart-tools", path.display())) }
}

/// Runs the helper; its output, or what it complained of.
fn helm(words: &[&str], input: &str) -> Result<String, String> {
    helm_in("data", words, input)
}

/// The same for a release in this namespace.
fn helm_in(namespace: &str, words: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new(python()?);
    command.env("CHART_NAMESPACE", namespace);
    command.arg("tests/chart/helm.py").args(words).current_dir(root());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).map_err(|error| error.to_string())?;
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sets of values: the defaults, and every file of `ci`.
fn sets() -> Vec<Vec<String>> {
    let folder = root().join(CHART).join("ci");
    let mut files: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path().to_str().unwrap().to_owned()).collect();
    files.sort();
    assert!(files.len() >= 3, "only {files:?}");
    std::iter::once(Vec::new()).chain(files.into_iter().map(|file| vec![file])).collect()
}

fn render(values: &[String]) -> Value {
    let words: Vec<&str> = ["render", CHART].into_iter().chain(values.iter().map(String::as_str)).collect();
    let text = helm(&words, "").unwrap_or_else(|error| panic!("{values:?}: {error}"));
    serde_json::from_str(&text).unwrap()
}

fn objects(rendered: &Value) -> &Vec<Value> {
    rendered["objects"].as_array().unwrap()
}

#[test]
fn the_chart_has_nothing_that_helm_warns_of() {
    needs_helm!("the_chart_has_nothing_that_helm_warns_of");
    for values in sets() {
        let words: Vec<&str> = ["lint", CHART].into_iter().chain(values.iter().map(String::as_str)).collect();
        let said: Value = serde_json::from_str(&helm(&words, "").unwrap()).unwrap();
        assert_eq!(said["total_charts_linted"], 1);
        // 1 is information: it would like an icon.
        let bad = |message: &&Value| message["severity"].as_u64().unwrap_or(9) > 1;
        let bad: Vec<_> = said["messages"].as_array().unwrap().iter().filter(bad).collect();
        assert!(bad.is_empty() && said["errors"] == Value::Array(vec![]), "{values:?}: {said}");
    }
}

#[test]
fn every_object_is_what_kubernetes_knows() {
    needs_helm!("every_object_is_what_kubernetes_knows");
    let manifests = ["examples/kubernetes/deployment.yaml", "examples/kubernetes/statefulset.yaml"];
    let mut all: Vec<String> = manifests.iter().map(|file| helm(&["objects", file], "").unwrap()).collect();
    all.extend(sets().iter().map(|values| render(values)["objects"].to_string()));
    for objects in all {
        for version in VERSIONS {
            helm(&["check", version], &objects).unwrap_or_else(|error| panic!("Kubernetes {version}: {error}"));
        }
    }
}

#[test]
fn what_is_rendered_fits_together() {
    needs_helm!("what_is_rendered_fits_together");
    for values in sets() {
        let rendered = render(&values);
        let objects = objects(&rendered);
        let names: BTreeSet<(&str, &str)> =
            objects.iter().map(|object| (text(object, "/kind"), text(object, "/metadata/name"))).collect();
        assert_eq!(names.len(), objects.len(), "{values:?}: two of one name");
        let pods: Vec<&Value> = objects.iter().filter_map(|object| object.pointer("/spec/template")).collect();
        assert_eq!(pods.len(), 2, "{values:?}: servers and Sentinels");
        for service in objects.iter().filter(|object| object["kind"] == "Service") {
            let mut selector = service["spec"]["selector"].as_object().unwrap().clone();
            selector.remove("redinit.io/role");
            let selects = |pod: &&&Value| selector.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value);
            assert_eq!(pods.iter().filter(selects).count(), 1, "{values:?}: {}", service["metadata"]["name"]);
        }
        for pod in &pods {
            let account = text(pod, "/spec/serviceAccountName");
            assert!(names.contains(&("ServiceAccount", account)), "{values:?}: no account {account}");
            assert_eq!(pod["spec"]["enableServiceLinks"], false);
            for container in pod["spec"]["containers"].as_array().unwrap() {
                let context = &container["securityContext"];
                assert_eq!(context["readOnlyRootFilesystem"], true, "{values:?}: {container}");
                assert_eq!(context["capabilities"]["drop"][0], "ALL", "{values:?}: {container}");
                check_environment(container, objects);
            }
        }
        assert!(rendered["notes"].as_str().unwrap().contains("redinit status"));
    }
}

/// The ids that the pods among these objects are given.
fn cluster_ids(objects: &Value) -> Vec<String> {
    let pods = objects.as_array().unwrap().iter().filter_map(|object| object.pointer("/spec/template/spec/containers"));
    let variables =
        pods.flat_map(|all| all.as_array().unwrap()).flat_map(|one| one["env"].as_array().into_iter().flatten());
    let ids = variables.filter(|variable| variable["name"] == "REDINIT_CLUSTER_ID");
    ids.map(|variable| text(variable, "/value").to_owned()).collect()
}

/// The chart's releases and the manifests, side by side in one network or one namespace.
#[test]
fn n13_each_shape_has_a_cluster_id_of_its_own() {
    needs_helm!("n13_each_shape_has_a_cluster_id_of_its_own");
    let release = |namespace: &str| {
        let rendered: Value = serde_json::from_str(&helm_in(namespace, &["render", CHART], "").unwrap()).unwrap();
        rendered["objects"].clone()
    };
    let manifest = |file: &str| serde_json::from_str(&helm(&["objects", file], "").unwrap()).unwrap();
    let shapes = [
        release("data"),
        release("other"),
        manifest("examples/kubernetes/deployment.yaml"),
        manifest("examples/kubernetes/statefulset.yaml"),
    ];
    let mut all = BTreeSet::new();
    for shape in &shapes {
        let ids = cluster_ids(shape);
        assert_eq!(ids.len(), 2, "servers and Sentinels: {ids:?}");
        assert_eq!(ids[0], ids[1]);
        assert!(all.insert(ids[0].clone()), "{} twice", ids[0]);
    }
}

/// Each variable of a container is there once, and names in its environment are those of objects.
fn check_environment(container: &Value, objects: &[Value]) {
    let named =
        |name: &str| objects.iter().any(|object| object["kind"] == "Service" && text(object, "/metadata/name") == name);
    let mut names = BTreeSet::new();
    for variable in container["env"].as_array().into_iter().flatten() {
        let name = text(variable, "/name");
        assert!(names.insert(name), "{name} twice: {container}");
        match name {
            "REDINIT_SERVERS" | "REDINIT_SENTINELS" | "REDIS_SERVER_SERVICE_HOST" | "REDIS_SENTINEL_SERVICE_HOST" => {
                // A list begins with the chart's own.
                let own = text(variable, "/value").split(',').next().unwrap();
                assert!(named(own), "{variable}");
            }
            "REDINIT_ELECTION" => {
                let leases = objects.iter().filter(|object| object["kind"] == "Role");
                let allowed = leases.filter(|role| role["rules"][0]["resourceNames"][0] == variable["value"]).count();
                assert_eq!(allowed, 2, "{variable}");
            }
            _ => {}
        }
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

#[test]
fn values_that_cannot_be_meant_are_refused() {
    needs_helm!("values_that_cannot_be_meant_are_refused");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.yaml");
    let rows = [
        ("shape: statefull", "shape"),
        ("replicaCount: 0", "replicaCount"),
        ("replicas: 3", "replicas"),
        ("sentinel: {quorum: 0}", "quorum"),
        ("sentinel: {downAfterMilliseconds: 1000}", "downAfterMilliseconds"),
        ("terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds"),
        ("auth: {enabled: maybe}", "enabled"),
        ("image: {digest: latest}", "digest"),
        ("serviceAccount: {name: Data}", "name"),
        ("networkPolicy: {extraIngress: {}}", "extraIngress"),
        ("networkPolicy: {extraEgress: [everywhere]}", "extraEgress"),
        ("sentinel: {extraVolumes: {}}", "extraVolumes"),
        ("sentinel: {extraVolumeMounts: [scripts]}", "extraVolumeMounts"),
        ("extraEnvVars: [{value: nameless}]", "name"),
        // What the README says is not here.
        ("tls: {enabled: true}", "tls"),
        ("metrics: {enabled: true}", "enabled"),
        ("metrics: {serviceMonitor: {enabled: true}}", "serviceMonitor"),
        ("metrics: {prometheusRule: {enabled: true}}", "prometheusRule"),
        ("prometheusRule: {enabled: true}", "prometheusRule"),
        ("exporter: {enabled: true}", "exporter"),
        ("persistence: {existingClaim: mine}", "existingClaim"),
        ("haproxy: {enabled: true}", "haproxy"),
    ];
    for (values, about) in rows {
        std::fs::write(&file, values).unwrap();
        let said = helm(&["render", CHART, file.to_str().unwrap()], "").unwrap_err();
        assert!(said.contains(about), "{values}: {said}");
    }
}
