//! Events: notices on our own pod, for whoever reads the namespace's history.

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;

use super::access::{Access, Caller, Failure};
use crate::core::notice::{Notice, NoticeKind};

/// Kubernetes takes 1024 bytes.
const MESSAGE_LIMIT: usize = 1000;
const COMPONENT: &str = "redinit";

/// Posts them: each once, and what fails is lost.
pub struct Reporter {
    access: Access,
    pod: String,
    run: String,
    posted: u64,
    /// Found out once, where we may: `kubectl describe pod` finds an Event by it.
    uid: Option<String>,
    complained: bool,
}

impl Reporter {
    /// On the pod of this name. `run` is random: it makes the Events' names our own.
    pub fn new(access: Access, pod: &str, run: &str) -> Self {
        Reporter { access, pod: pod.to_owned(), run: run.to_owned(), posted: 0, uid: None, complained: false }
    }

    /// Posts one. Rare: no connection is kept.
    pub async fn post(&mut self, notice: &Notice) {
        let mut caller = Caller::new(self.access.clone());
        if self.uid.is_none() {
            let found =
                caller.call(async |client| Api::<Pod>::default_namespaced(client).get_metadata(&self.pod).await);
            self.uid = found.await.ok().and_then(|pod| pod.metadata.uid);
        }
        self.posted += 1;
        let event = self.event(notice, caller.namespace());
        let post = async |client| Api::<Event>::default_namespaced(client).create(&PostParams::default(), &event).await;
        match caller.call(post).await {
            Ok(_) => self.complained = false,
            Err(failure) => self.complain(&failure),
        }
    }

    fn event(&self, notice: &Notice, namespace: &str) -> Event {
        let (kind, reason) = words(notice.kind);
        let now = Some(Time(Timestamp::now()));
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{}-{}", self.pod, self.run, self.posted)),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(self.pod.clone()),
                namespace: Some(namespace.to_owned()),
                uid: self.uid.clone(),
                ..ObjectReference::default()
            },
            type_: Some(kind.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(notice.reason.chars().take(MESSAGE_LIMIT / 4).collect()),
            source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
            reporting_component: Some(COMPONENT.to_owned()),
            reporting_instance: Some(self.pod.clone()),
            first_timestamp: now.clone(),
            last_timestamp: now,
            count: Some(1),
            ..Event::default()
        }
    }

    /// Once, until it works again.
    fn complain(&mut self, failure: &Failure) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!(event = "events", "no Event could be posted, which hurts nobody: {failure}");
        }
    }
}

/// The Event's type and reason.
fn words(kind: NoticeKind) -> (&'static str, &'static str) {
    match kind {
        NoticeKind::Promotion => ("Normal", "Promotion"),
        NoticeKind::Handover => ("Normal", "Handover"),
        NoticeKind::Failover => ("Warning", "Failover"),
        NoticeKind::Fence => ("Warning", "Fence"),
        NoticeKind::Conflict => ("Warning", "Conflict"),
    }
}

#[cfg(test)]
impl Reporter {
    /// The last one could not be posted.
    pub fn complained(&self) -> bool {
        self.complained
    }
}

#[cfg(test)]
mod tests;
