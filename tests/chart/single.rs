//! What single values do.

use std::process::Command;

use serde_json::{Value, json};

use super::{CHART, helm, objects, python, render, root, text};

/// The chart with these values.
fn rendered(values: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.yaml");
    std::fs::write(&file, values).unwrap();
    render(&[file.to_str().unwrap().to_owned()])
}

/// The chart with the values of this file of `ci`.
fn set(name: &str) -> Value {
    render(&[format!("{CHART}/ci/{name}-values.yaml")])
}

fn object<'a>(rendered: &'a Value, kind: &str, name: &str) -> &'a Value {
    let wanted = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    objects(rendered).iter().find(wanted).unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// The pods of servers and of Sentinels.
fn pods(rendered: &Value) -> [&Value; 2] {
    let pod = |component: &str| {
        let wanted = |pod: &&Value| pod["metadata"]["labels"]["app.kubernetes.io/component"] == component;
        objects(rendered).iter().filter_map(|object| object.pointer("/spec/template")).find(wanted).unwrap()
    };
    [pod("server"), pod("sentinel")]
}

/// What a variable of a pod's first container is.
fn variable<'a>(pod: &'a Value, name: &str) -> &'a str {
    let all = pod["spec"]["containers"][0]["env"].as_array().unwrap();
    let found = all.iter().find(|variable| variable["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    text(found, "/value")
}

#[test]
fn what_the_user_says_counts_before_what_the_chart_says() {
    needs_helm!("what_the_user_says_counts_before_what_the_chart_says");
    for pod in pods(&set("secured")) {
        assert_eq!(variable(pod, "REDINIT_SERVERS"), "cache-servers,old-master:6379");
        assert_eq!(variable(pod, "REDINIT_FAILOVER_TIMEOUT"), "20s");
        assert_eq!(variable(pod, "REDINIT_ELECTION"), "cache-lease");
        assert_eq!(variable(pod, "REDINIT_DOWN_AFTER"), "5000ms");
    }
    for pod in pods(&set("small")) {
        assert_eq!(variable(pod, "REDINIT_LOG"), "debug", "extraEnvVars before settings");
        assert_eq!(variable(pod, "POD_NAME"), "here");
        let all = pod["spec"]["containers"][0]["env"].as_array().unwrap();
        assert_eq!(all[0]["name"], "POD_IP", "others may name it");
    }
    let twice = rendered("extraEnvVars: [{name: A, value: old}, {name: B, value: b}, {name: A, value: new}]");
    for pod in pods(&twice) {
        assert_eq!(variable(pod, "A"), "new");
        assert_eq!(variable(pod, "B"), "b");
    }
}

#[test]
fn large_numbers_keep_their_digits() {
    needs_helm!("large_numbers_keep_their_digits");
    let rendered =
        rendered("{settings: {restart_max: 2000000, ratio: 0.5, flag: true}, sentinel: {failoverTimeout: 3000000}}");
    for pod in pods(&rendered) {
        assert_eq!(variable(pod, "REDINIT_RESTART_MAX"), "2000000");
        assert_eq!(variable(pod, "REDINIT_RATIO"), "0.5");
        assert_eq!(variable(pod, "REDINIT_FLAG"), "true");
        assert_eq!(variable(pod, "REDINIT_FAILOVER_TIMEOUT"), "3000000ms");
    }
}

/// The chart in which the cluster is said to hold this password: Helm's library has no cluster to look into.
fn with_stored(password: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new("cp").arg("-r").arg(root().join(CHART)).arg(folder.path()).status().unwrap();
    assert!(status.success());
    let file = folder.path().join("redinit/templates/secret.yaml");
    let template = std::fs::read_to_string(&file).unwrap();
    let lookup = r#"(lookup "v1" "Secret" .Release.Namespace $name)"#;
    let found = format!(r#"(dict "data" (dict "redis-password" ("{password}" | b64enc)))"#);
    assert_eq!(template.matches(lookup).count(), 1);
    std::fs::write(file, template.replace(lookup, &found)).unwrap();
    folder
}

#[test]
fn a_password_cannot_be_changed_by_an_upgrade() {
    needs_helm!("a_password_cannot_be_changed_by_an_upgrade");
    let folder = with_stored("old");
    let chart = folder.path().join("redinit");
    let values = folder.path().join("values.yaml");
    let attempt = |command: &str, password: &str| {
        std::fs::write(&values, json!({ "auth": { "password": password } }).to_string()).unwrap();
        let text = helm(&[command, chart.to_str().unwrap(), values.to_str().unwrap()], "")?;
        let rendered: Value = serde_json::from_str(&text).unwrap();
        Ok::<_, String>(object(&rendered, "Secret", "cache-redinit")["data"]["redis-password"].clone())
    };
    let said = attempt("upgrade", "new").unwrap_err();
    assert!(said.contains("auth.password is not what the Secret cache-redinit holds"), "{said}");
    assert_eq!(attempt("upgrade", "old").unwrap(), "b2xk");
    assert_eq!(attempt("upgrade", "").unwrap(), "b2xk");
    assert_eq!(attempt("render", "new").unwrap(), "bmV3", "an install may");
}

#[test]
fn notes_say_what_becomes_of_the_password() {
    needs_helm!("notes_say_what_becomes_of_the_password");
    let made_up = "use\nauth.existingSecret there";
    for (rendered, kept, warned) in [
        (render(&[]), true, true),
        (rendered("auth: {password: given}"), true, false),
        (rendered("auth: {existingSecret: mine}"), true, false),
        (rendered("auth: {enabled: false}"), false, false),
    ] {
        let notes = text(&rendered, "/notes");
        assert_eq!(notes.contains("rotating it is not in this version"), kept, "{notes}");
        assert_eq!(notes.contains(made_up), warned, "{notes}");
    }
}

#[test]
fn labels_of_the_pod_monitor_are_labels() {
    needs_helm!("labels_of_the_pod_monitor_are_labels");
    let rendered = set("secured");
    let metadata = &object(&rendered, "PodMonitor", "cache")["metadata"];
    assert_eq!(metadata["annotations"], json!({ "owner": "data" }));
    assert_eq!(metadata["labels"]["release"], "prometheus", "before the common one");
    assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], "cache");
}

#[test]
fn where_no_node_takes_two_the_old_pod_goes_first() {
    needs_helm!("where_no_node_takes_two_the_old_pod_goes_first");
    for (placing, surge, unavailable) in [("hard", 0, 1), ("soft", 1, 0), ("none", 1, 0)] {
        let rendered = rendered(&format!("{{shape: classic, podAntiAffinity: {placing}}}"));
        for name in ["cache-redinit", "cache-redinit-sentinel"] {
            let strategy = &object(&rendered, "Deployment", name)["spec"]["strategy"];
            let wanted = json!({ "rollingUpdate": { "maxSurge": surge, "maxUnavailable": unavailable } });
            assert_eq!(*strategy, wanted, "{placing}: {name}");
        }
    }
}

#[test]
fn the_network_policy_takes_what_one_adds() {
    needs_helm!("the_network_policy_takes_what_one_adds");
    let rendered = set("secured");
    let policy = &object(&rendered, "NetworkPolicy", "cache")["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    let added = json!({ "ports": [{ "port": 6379 }], "from": [{ "namespaceSelector": {} }] });
    assert_eq!(*policy["ingress"].as_array().unwrap().last().unwrap(), added);
    let egress = policy["egress"].as_array().unwrap();
    assert_eq!(*egress.last().unwrap(), json!({ "to": [{ "ipBlock": { "cidr": "192.0.2.0/24" } }] }));
    assert_eq!(egress[0]["ports"][0], json!({ "port": 53, "protocol": "UDP" }), "names");
    assert_eq!(egress[1]["to"][0]["podSelector"], policy["podSelector"], "each other");
    assert_eq!(egress[2], json!({ "ports": [{ "port": 443 }, { "port": 6443 }] }), "the API server");
    let rendered = render(&[]);
    let policy = &object(&rendered, "NetworkPolicy", "cache-redinit")["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress"]));
    assert!(policy["egress"].is_null(), "{policy}");
}

#[test]
fn notes_say_whom_the_network_policy_lets_in() {
    needs_helm!("notes_say_whom_the_network_policy_lets_in");
    let rows: [(&str, bool, &[&str]); 7] = [
        ("{}", true, &[]),
        ("service: {type: NodePort}", true, &["WARNING: service.type is NodePort"]),
        ("sentinel: {service: {type: LoadBalancer}}", true, &["WARNING: sentinel.service.type is LoadBalancer"]),
        (
            "{service: {type: LoadBalancer}, sentinel: {service: {type: NodePort}}}",
            true,
            &["WARNING: service", "WARNING: sentinel"],
        ),
        ("{service: {type: NodePort}, networkPolicy: {extraIngress: [{}]}}", true, &[]),
        ("{service: {type: NodePort}, networkPolicy: {allowExternal: true}}", false, &[]),
        ("{service: {type: NodePort}, networkPolicy: {enabled: false}}", false, &[]),
    ];
    for (values, closed, warnings) in rows {
        let rendered = rendered(values);
        let notes = text(&rendered, "/notes");
        let said = notes.contains("Only pods of the namespace data reach ports 6379 and 26379");
        assert_eq!((said, notes.contains("networkPolicy.allowExternal=true")), (closed, closed), "{values}: {notes}");
        assert_eq!(notes.matches("WARNING: ").count(), warnings.len(), "{values}: {notes}");
        assert!(warnings.iter().all(|warning| notes.contains(warning)), "{values}: {notes}");
    }
}

#[test]
fn accounts_have_the_name_one_gives() {
    needs_helm!("accounts_have_the_name_one_gives");
    let rows = [
        ("{}", ["cache-redinit", "cache-redinit-sentinel"], 2),
        ("serviceAccount: {name: mine}", ["mine", "mine-sentinel"], 2),
        ("serviceAccount: {create: false, name: mine}", ["mine", "mine"], 0),
        ("serviceAccount: {create: false}", ["cache-redinit", "cache-redinit-sentinel"], 0),
    ];
    for (values, accounts, made) in rows {
        let rendered = rendered(values);
        assert_eq!(pods(&rendered).map(|pod| text(pod, "/spec/serviceAccountName")), accounts, "{values}");
        let bound = ["cache-redinit", "cache-redinit-sentinel"]
            .map(|binding| text(object(&rendered, "RoleBinding", binding), "/subjects/0/name"));
        assert_eq!(bound, accounts, "{values}");
        let all = objects(&rendered).iter().filter(|object| object["kind"] == "ServiceAccount");
        let all: Vec<&str> = all.map(|account| text(account, "/metadata/name")).collect();
        assert_eq!(all, accounts[..made], "{values}");
    }
}

#[test]
fn sentinels_have_volumes_of_their_own() {
    needs_helm!("sentinels_have_volumes_of_their_own");
    let rendered = set("secured");
    let [server, sentinel] = pods(&rendered).map(|pod| &pod["spec"]);
    let volume = json!({ "name": "scripts", "configMap": { "name": "scripts" } });
    let mount = json!({ "name": "scripts", "mountPath": "/scripts" });
    assert!(sentinel["volumes"].as_array().unwrap().contains(&volume), "{sentinel}");
    assert!(sentinel["containers"][0]["volumeMounts"].as_array().unwrap().contains(&mount), "{sentinel}");
    assert!(!server["volumes"].as_array().unwrap().contains(&volume), "{server}");
}

#[test]
fn openshift_may_choose_the_user() {
    needs_helm!("openshift_may_choose_the_user");
    let rendered = set("openshift");
    let wanted = json!({ "runAsNonRoot": true, "runAsGroup": 999, "seccompProfile": { "type": "RuntimeDefault" } });
    for pod in pods(&rendered) {
        assert_eq!(pod["spec"]["securityContext"], wanted);
    }
    assert_eq!(object(&rendered, "Pod", "cache-redinit-test")["spec"]["securityContext"], wanted);
    let readme = std::fs::read_to_string(root().join(CHART).join("README.md")).unwrap();
    assert!(readme.contains("--set podSecurityContext.runAsUser=null --set podSecurityContext.fsGroup=null"));
}
