//! The Role in `docs/elector.md` is what redinit needs, on a real API server: `KUBECONFIG` of any cluster whose user may
//! make Roles and service account tokens in the namespace `default`, and `kubectl`.
#![allow(clippy::disallowed_methods, reason = "the test runs kubectl and waits for it")]

use std::io::Write;
use std::process::{Command, Stdio};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, Config};
use serde_json::{Value, json};

use super::access::{Access, Caller};
use super::events::Reporter;
use super::pods::Labeller;
use crate::core::label::{LabelFailure, PodRole};
use crate::core::notice::{Notice, NoticeKind};

const DOCUMENT: &str = include_str!("../../docs/elector.md");

/// What kubectl says; `None`: it failed, or there is none.
fn kubectl(words: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("kubectl");
    command
        .args(words)
        .args(["--namespace", "default"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut process = command.spawn().ok()?;
    process.stdin.take()?.write_all(input.as_bytes()).ok()?;
    let output = process.wait_with_output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A service account with this Role, and the way to the API server as that.
async fn access(config: &Config, role: &str, dir: &std::path::Path) -> Access {
    kubectl(&["create", "serviceaccount", role], "").expect("a service account");
    let account = format!("--serviceaccount=default:{role}");
    kubectl(&["create", "rolebinding", role, "--role", role, &account], "").expect("bound");
    let path = format!("/api/v1/namespaces/default/serviceaccounts/{role}/token");
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}).to_string();
    let answer = kubectl(&["create", "--raw", &path, "-f", "-"], &request).expect("a token");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let token = dir.join(role);
    std::fs::write(&token, answer["status"]["token"].as_str().expect("a token")).expect("written");
    let mut config = config.clone();
    config.auth_info =
        kube::config::AuthInfo { token_file: Some(token.display().to_string()), ..kube::config::AuthInfo::default() };
    Access::new(config)
}

fn delete(kinds_and_names: &[String]) {
    for one in kinds_and_names {
        kubectl(&["delete", "--ignore-not-found", "--grace-period=0", "--force", one], "");
    }
}

#[tokio::test]
async fn the_role_in_the_document_is_enough_and_a_smaller_one_is_no_harm() {
    let name = "the_role_in_the_document_is_enough_and_a_smaller_one_is_no_harm";
    if std::env::var_os("KUBECONFIG").is_none() || kubectl(&["version"], "").is_none() {
        return println!("SKIPPED {name}: KUBECONFIG is not set, or kubectl cannot reach the cluster");
    }
    let config = Config::from_kubeconfig(&kube::config::KubeConfigOptions::default()).await.expect("KUBECONFIG");
    let own = format!("redinit-rights-{}", std::process::id());
    let [server, sentinel] = ["server", "sentinel"].map(|kind| format!("{own}-{kind}"));
    let roles = DOCUMENT.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the Roles");
    let roles = roles.replace("redinit-server", &server).replace("redinit-sentinel", &sentinel);
    let roles = roles.replace("\"mymaster\"", &format!("\"{own}\""));
    kubectl(&["apply", "-f", "-"], &roles).expect("the Roles are applied");
    let dir = tempfile::tempdir().expect("a directory");
    let full = access(&config, &server, dir.path()).await;
    let less = access(&config, &sentinel, dir.path()).await;
    let pods: Api<Pod> = Api::default_namespaced(Client::try_from(config).expect("a client"));
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": own},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "none"}]}});
    pods.create(&Default::default(), &serde_json::from_value(pod).expect("a pod")).await.expect("made");

    let labeller = |access: &Access| {
        let caller = Caller::new(access.clone());
        Labeller::new(caller, &own, "redinit.io/role", Some(&own), "e", "run")
    };
    let lease = crate::elector::check_rights(full.clone(), &own).await;
    let watched = crate::elector::check_rights(less.clone(), &own).await;
    let mut reporter = Reporter::new(full.clone(), &own, "run");
    reporter.post(&Notice { kind: NoticeKind::Fence, reason: "a test".to_owned() }).await;
    let labels = [
        labeller(&full).set(PodRole::Replica).await,
        labeller(&full).set(PodRole::Master).await,
        labeller(&full).set(PodRole::Nothing).await,
    ];
    let refused = labeller(&less).set(PodRole::Master).await;
    let mut made = vec![format!("pod/{own}"), format!("lease/{own}"), format!("event/{own}.run-1")];
    for role in [&server, &sentinel] {
        made.extend(["role", "rolebinding", "serviceaccount"].map(|kind| format!("{kind}/{role}")));
    }
    delete(&made);
    assert_eq!(lease, Ok(()));
    assert!(
        watched.as_ref().is_err_and(|why| why.contains("docs/elector.md")),
        "it reads, and must not write: {watched:?}"
    );
    assert!(!reporter.complained());
    assert_eq!(labels, [Ok(()), Ok(()), Ok(())]);
    assert!(matches!(refused, Err(LabelFailure::Forbidden(_))), "{refused:?}");
}
