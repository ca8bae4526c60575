use super::*;
use crate::kubernetes::fake::{FakeApi, Fault};

const PODS: &str = "/api/v1/namespaces/ns/pods";
const LABEL: &str = "redinit.io/role";

fn pod(api: &FakeApi, name: &str, owner: &str) {
    let owner =
        json!([{"kind": "StatefulSet", "name": owner, "controller": true, "apiVersion": "apps/v1", "uid": "u"}]);
    api.put(&format!("{PODS}/{name}"), json!({"metadata": {"name": name, "ownerReferences": owner}}));
}

fn labeller(api: &FakeApi, name: &str) -> Labeller {
    Labeller::new(Caller::new(api.access(name)), name, LABEL, None, "e", "run")
}

fn labels(api: &FakeApi, name: &str) -> (Option<String>, Option<String>) {
    let pod = api.object(&format!("{PODS}/{name}")).expect("a pod");
    let label = |name: &str| pod["metadata"]["labels"].get(name).and_then(Value::as_str).map(str::to_owned);
    (label(LABEL), label(GROUP))
}

fn role(api: &FakeApi, name: &str) -> Option<String> {
    labels(api, name).0
}

fn masters(api: &FakeApi) -> usize {
    let all = api.objects(PODS);
    all.iter().filter(|pod| pod["metadata"]["labels"][LABEL] == "master").count()
}

/// Three pods of one workload.
fn three() -> (FakeApi, [Labeller; 3]) {
    let api = FakeApi::start();
    let all = ["r-0", "r-1", "r-2"].map(|name| {
        pod(&api, name, "r");
        labeller(&api, name)
    });
    (api, all)
}

#[tokio::test]
async fn the_new_master_takes_it_off_the_old_one_first() {
    let (api, [mut a, mut b, mut c]) = three();
    a.set(PodRole::Master).await.expect("set");
    b.set(PodRole::Replica).await.expect("set");
    c.set(PodRole::Replica).await.expect("set");
    assert_eq!(labels(&api, "r-0"), (Some("master".into()), Some("r".into())));
    assert_eq!(role(&api, "r-1").as_deref(), Some("replica"));
    drop(api.writes());
    b.set(PodRole::Master).await.expect("set");
    let writes = api.writes();
    assert_eq!(writes.last().map(String::as_str), Some("PATCH /api/v1/namespaces/ns/pods/r-1"), "its own comes last");
    assert_eq!(writes.len(), 3, "{writes:?}");
    assert_eq!((role(&api, "r-0"), role(&api, "r-2").as_deref()), (None, Some("replica")));
    assert_eq!((role(&api, "r-1").as_deref(), masters(&api)), (Some("master"), 1));
    // Looked at again: nothing is written where all is as it should be.
    b.set(PodRole::Master).await.expect("set");
    c.set(PodRole::Replica).await.expect("set");
    assert_eq!(api.writes(), Vec::<String>::new());
    b.set(PodRole::Nothing).await.expect("set");
    assert_eq!((role(&api, "r-1"), masters(&api)), (None, 0));
}

#[tokio::test]
async fn another_group_in_the_namespace_is_left_alone() {
    let (api, [mut a, ..]) = three();
    pod(&api, "other-0", "other");
    labeller(&api, "other-0").set(PodRole::Master).await.expect("set");
    a.set(PodRole::Master).await.expect("set");
    assert_eq!((role(&api, "r-0").as_deref(), role(&api, "other-0").as_deref()), (Some("master"), Some("master")));
}

#[tokio::test]
async fn the_group_is_as_set_or_the_workload_over_its_replica_sets() {
    let api = FakeApi::start();
    let owner = json!([{"kind": "ReplicaSet", "name": "redis-server-7d9c", "controller": true, "apiVersion": "apps/v1", "uid": "u"}]);
    let meta = json!({"name": "p", "ownerReferences": owner, "labels": {"pod-template-hash": "7d9c"}});
    api.put(&format!("{PODS}/p"), json!({"metadata": meta}));
    labeller(&api, "p").set(PodRole::Replica).await.expect("set");
    assert_eq!(labels(&api, "p").1.as_deref(), Some("redis-server"));
    let mut named = Labeller::new(Caller::new(api.access("p")), "p", "role", Some("zones"), "e", "run");
    named.set(PodRole::Master).await.expect("set");
    let pod = api.object(&format!("{PODS}/p")).expect("a pod");
    assert_eq!(
        (&pod["metadata"]["labels"]["role"], &pod["metadata"]["labels"][GROUP]),
        (&json!("master"), &json!("zones"))
    );
    api.put(&format!("{PODS}/bare"), json!({"metadata": {"name": "bare"}}));
    labeller(&api, "bare").set(PodRole::Replica).await.expect("set");
    assert_eq!(labels(&api, "bare").1.as_deref(), Some("e"));
}

/// Two claim at the same moment, again and again: at no moment do two pods carry it.
#[tokio::test(flavor = "current_thread")]
async fn never_two_pods_carry_master_whoever_claims_at_once() {
    let (api, [mut a, mut b, mut c]) = three();
    let watch = {
        let api = api.clone();
        let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let ended = done.clone();
        let thread = std::thread::spawn(move || {
            let mut most = 0;
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                most = most.max(masters(&api));
            }
            most
        });
        (done, thread)
    };
    for round in 0..30 {
        let (x, y, z) = tokio::join!(a.set(PodRole::Master), b.set(PodRole::Master), c.set(PodRole::Master));
        assert!(x.is_ok() || y.is_ok() || z.is_ok(), "round {round}: nobody got it: {x:?} {y:?} {z:?}");
        assert_eq!(masters(&api), 1, "round {round}");
        let gone = match round % 3 {
            0 => a.set(PodRole::Nothing).await,
            1 => b.set(PodRole::Replica).await,
            _ => c.set(PodRole::Nothing).await,
        };
        gone.expect("set");
    }
    watch.0.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(watch.1.join().expect("no panic"), 1);
}

/// A master that was frozen, or whose write was on its way for minutes: it arrives when another one carries the label.
#[tokio::test]
async fn a_claim_that_arrives_late_is_refused() {
    let (api, [mut a, mut b, _]) = three();
    a.set(PodRole::Replica).await.expect("set");
    b.set(PodRole::Replica).await.expect("set");
    // a's own write is held: everything before it has been done.
    a.caller.limit = Duration::from_millis(300);
    api.hold_after("r-0", 3);
    assert!(matches!(a.set(PodRole::Master).await, Err(LabelFailure::Unknown(_))));
    api.fault("r-0", None);
    b.set(PodRole::Master).await.expect("set");
    assert_eq!(api.deliver(), 1);
    assert_eq!((role(&api, "r-0").as_deref(), role(&api, "r-1").as_deref()), (Some("replica"), Some("master")));
}

/// The same, and nobody else claims: the label comes off for good, although the old write is still on its way.
#[tokio::test]
async fn what_was_taken_off_does_not_come_back_by_an_old_write() {
    let (api, [mut a, ..]) = three();
    a.set(PodRole::Replica).await.expect("set");
    a.caller.limit = Duration::from_millis(300);
    api.hold_after("r-0", 2);
    assert!(a.set(PodRole::Master).await.is_err());
    api.fault("r-0", None);
    a.set(PodRole::Nothing).await.expect("set");
    a.set(PodRole::Nothing).await.expect("set");
    assert_eq!(api.deliver(), 1);
    assert_eq!(role(&api, "r-0"), None);
}

#[tokio::test]
async fn what_fails_is_told_apart() {
    let (api, [mut a, ..]) = three();
    a.caller.limit = Duration::from_millis(300);
    for (fault, forbidden) in [
        (Fault::Status(403), true),
        (Fault::Status(401), false),
        (Fault::Status(500), false),
        (Fault::Status(409), false),
        (Fault::Silent, false),
    ] {
        api.fault("r-0", Some(fault));
        for wanted in [PodRole::Master, PodRole::Replica, PodRole::Nothing] {
            let failure = a.set(wanted).await.expect_err("it fails");
            assert_eq!(matches!(failure, LabelFailure::Forbidden(_)), forbidden, "{fault:?}: {failure:?}");
        }
    }
    api.fault("r-0", Some(Fault::Slow(Duration::from_millis(50))));
    a.set(PodRole::Master).await.expect("slow is not away");
    let failure = labeller(&api, "nobody").set(PodRole::Replica).await.expect_err("no such pod");
    assert!(matches!(&failure, LabelFailure::Unknown(words) if words.contains("set POD_NAME")), "{failure:?}");
}

/// On a real API server: `KUBECONFIG` of any cluster whose user may make pods in the namespace `default`.
#[tokio::test]
async fn the_label_moves_on_a_real_api_server() {
    if std::env::var_os("KUBECONFIG").is_none() {
        return println!("SKIPPED the_label_moves_on_a_real_api_server: KUBECONFIG is not set");
    }
    let config = kube::Config::from_kubeconfig(&Default::default()).await.expect("KUBECONFIG");
    let api: Api<Pod> = Api::default_namespaced(Client::try_from(config.clone()).expect("a client"));
    let group = format!("redinit-test-{}", std::process::id());
    let names = [0, 1, 2].map(|n| format!("{group}-{n}"));
    for name in &names {
        // Never scheduled.
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "none"}]}});
        api.create(&Default::default(), &serde_json::from_value(pod).expect("a pod")).await.expect("made");
    }
    let access = || super::super::access::Access::new(config.clone());
    let mut all =
        names.clone().map(|name| Labeller::new(Caller::new(access()), &name, LABEL, Some(&group), "e", "run"));
    let mut seen = Vec::new();
    let which = ListParams::default().labels(&format!("{LABEL}=master,{GROUP}={group}"));
    for place in [0, 1, 2, 0] {
        all[place].set(PodRole::Master).await.expect("set");
        let masters = api.list_metadata(&which).await.expect("a list").items;
        seen.push(masters.into_iter().filter_map(|one| one.metadata.name).collect::<Vec<_>>());
    }
    let [a, b, _] = &mut all;
    let (x, y) = tokio::join!(a.set(PodRole::Master), b.set(PodRole::Master));
    let at_once = api.list_metadata(&which).await.expect("a list").items.len();
    for name in &names {
        let now = kube::api::DeleteParams::default().grace_period(0);
        api.delete(name, &now).await.expect("deleted");
    }
    let wanted: Vec<_> = [0, 1, 2, 0].into_iter().map(|place| vec![names[place].clone()]).collect();
    assert_eq!(seen, wanted);
    assert!(x.is_ok() || y.is_ok(), "{x:?} {y:?}");
    assert_eq!(at_once, 1);
}
