use super::*;
use crate::kubernetes::fake::{FakeApi, Fault};

const EVENTS: &str = "/api/v1/namespaces/ns/events";

fn notice(kind: NoticeKind) -> Notice {
    Notice { kind, reason: "because".to_owned() }
}

#[tokio::test]
async fn each_notice_is_one_event_on_our_pod() {
    let api = FakeApi::start();
    api.put("/api/v1/namespaces/ns/pods/p", serde_json::json!({"metadata": {"name": "p", "uid": "u-1"}}));
    let mut reporter = Reporter::new(api.access("p"), "p", "run");
    for (kind, type_, reason) in [
        (NoticeKind::Promotion, "Normal", "Promotion"),
        (NoticeKind::Handover, "Normal", "Handover"),
        (NoticeKind::Failover, "Warning", "Failover"),
        (NoticeKind::Fence, "Warning", "Fence"),
        (NoticeKind::Conflict, "Warning", "Conflict"),
    ] {
        reporter.post(&notice(kind)).await;
        let events = api.objects(EVENTS);
        let event = events.iter().find(|event| event["reason"] == reason).expect("an Event");
        assert_eq!((&event["type"], &event["message"]), (&type_.into(), &"because".into()));
        assert_eq!((&event["involvedObject"]["name"], &event["involvedObject"]["uid"]), (&"p".into(), &"u-1".into()));
        assert_eq!(event["metadata"]["namespace"], "ns");
    }
    assert_eq!(api.objects(EVENTS).len(), 5);
}

#[tokio::test]
async fn without_the_right_nothing_happens_but_one_line() {
    let api = FakeApi::start();
    let mut reporter = Reporter::new(api.access("p"), "p", "run");
    for fault in [Fault::Status(403), Fault::Status(500)] {
        api.fault("p", Some(fault));
        reporter.post(&notice(NoticeKind::Fence)).await;
        assert!(reporter.complained, "said once, and not again before it works");
    }
    api.fault("p", None);
    reporter.post(&notice(NoticeKind::Fence)).await;
    assert!(!reporter.complained);
    assert_eq!(api.objects(EVENTS).len(), 1, "each is posted once");
}

/// On a real API server: `KUBECONFIG` of any cluster whose user may make Events in the namespace `default`.
#[tokio::test]
async fn an_event_is_taken_by_a_real_api_server() {
    if std::env::var_os("KUBECONFIG").is_none() {
        return println!("SKIPPED an_event_is_taken_by_a_real_api_server: KUBECONFIG is not set");
    }
    let config = kube::Config::from_kubeconfig(&Default::default()).await.expect("KUBECONFIG");
    let pod = format!("redinit-test-{}", std::process::id());
    let mut reporter = Reporter::new(Access::new(config.clone()), &pod, "run");
    reporter.post(&notice(NoticeKind::Fence)).await;
    assert!(!reporter.complained);
    let events: Api<Event> = Api::default_namespaced(kube::Client::try_from(config).expect("a client"));
    let event = events.get(&format!("{pod}.run-1")).await.expect("the Event");
    events.delete(&format!("{pod}.run-1"), &Default::default()).await.expect("deleted");
    assert_eq!((event.reason.as_deref(), event.message.as_deref()), (Some("Fence"), Some("because")));
}
