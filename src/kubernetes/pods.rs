//! The role label: on our own pod, and off the others' of the group.
//!
//! Never two pods carry `master`. Who puts it on (1) reads his own pod, (2) changes every other pod of the group: takes
//! the label off, and leaves his mark in any case, so that each has a new `resourceVersion`, (3) puts it on, if his own pod
//! is still the one that he read. Of two who do so at once, whoever is second in (3) has been changed by the other's (2)
//! since his (1), and is refused. So is a write of somebody who was frozen, or that was on its way for minutes.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::access::{Caller, Failure};
use crate::core::label::{LabelFailure, PodRole};

/// The pods of one group carry the same: among them `master` is at most once.
const GROUP: &str = "redinit.io/group";
/// Who changed a pod last on account of the role, and the how-manieth time: different every time.
const MARK: &str = "redinit.io/claim";
/// One order takes no longer; what was decided before that may not hold any more.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
/// Somebody else changes pods all the time (the kubelet): read anew this often.
const TRIES: usize = 5;
/// The next try comes within this time, and twice, three times that after each.
const APART: Duration = Duration::from_millis(50);
/// More pods than this are no group of ours.
const PODS_LIMIT: u32 = 500;

type Meta = PartialObjectMeta<Pod>;

/// Sets labels.
pub struct Labeller {
    caller: Caller,
    pod: String,
    label: String,
    /// As set; else the workload's name.
    group: Option<String>,
    /// Where there is no workload: the election's name.
    fallback: String,
    run: String,
    writes: u64,
    /// A write of ours may still be on its way.
    uncertain: bool,
}

impl Labeller {
    /// For the pod of this name. `run` is random.
    pub fn new(caller: Caller, pod: &str, label: &str, group: Option<&str>, fallback: &str, run: &str) -> Self {
        let [pod, label, fallback, run] = [pod, label, fallback, run].map(str::to_owned);
        let group = group.map(str::to_owned);
        Labeller { caller, pod, label, group, fallback, run, writes: 0, uncertain: false }
    }

    /// Brings our own pod's label to this; may be dropped on the way.
    pub async fn set(&mut self, role: PodRole) -> Result<(), LabelFailure> {
        let until = Instant::now() + ATTEMPT_LIMIT;
        let uncertain = std::mem::replace(&mut self.uncertain, true);
        let done = match role {
            PodRole::Master => self.claim(until).await,
            PodRole::Replica => self.put(Some("replica"), uncertain).await,
            PodRole::Nothing => self.put(None, uncertain).await,
        };
        match done {
            Ok(()) => {
                self.uncertain = false;
                Ok(())
            }
            Err(Failure::Forbidden(words)) => Err(LabelFailure::Forbidden(words)),
            Err(Failure::Missing) => Err(LabelFailure::Unknown(format!("there is no pod {}; set POD_NAME", self.pod))),
            Err(failure) => Err(LabelFailure::Unknown(failure.to_string())),
        }
    }

    /// `replica`, or off. No condition: it claims nothing. Written anew where an earlier write may still be on its way,
    /// which is refused by that.
    async fn put(&mut self, value: Option<&str>, uncertain: bool) -> Result<(), Failure> {
        let own = self.own().await?;
        let group = self.group_of(&own);
        let stands = labelled(&own, &self.label);
        let grouped = value.is_none() || labelled(&own, GROUP) == Some(group.as_str());
        if stands == value && grouped && !uncertain {
            return Ok(());
        }
        let label = self.label.clone();
        self.patch(&self.pod.clone(), json!({"labels": {label: value, GROUP: group}})).await.map(drop)
    }

    /// `master`, and off every other pod of the group first.
    async fn claim(&mut self, until: Instant) -> Result<(), Failure> {
        let label = self.label.clone();
        let mut own = self.own().await?;
        let group = self.group_of(&own);
        if labelled(&own, GROUP) != Some(group.as_str()) {
            own = self.patch(&self.pod.clone(), json!({"labels": {GROUP: group}})).await?;
        }
        for attempt in 0..TRIES {
            let others = self.others(&group).await?;
            let alone = others.iter().all(|other| labelled(other, &label) != Some("master"));
            if alone && labelled(&own, &label) == Some("master") {
                return Ok(());
            }
            let cleared = self.clear(&others).await;
            if Instant::now() >= until {
                return Err(Failure::Away("it took too long".to_owned()));
            }
            if cleared? == Cleared::All {
                let change = json!({"resourceVersion": own.metadata.resource_version, "labels": {&label: "master"}});
                match self.patch(&self.pod.clone(), change).await {
                    Err(Failure::Conflict) => {}
                    done => return done.map(drop),
                }
            }
            // Two who claim at once would hinder each other again and again.
            let most = APART * u32::try_from(attempt + 1).unwrap_or(1);
            let part = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
            tokio::time::sleep(most.mul_f64(part)).await;
            own = self.own().await?;
        }
        Err(Failure::Conflict)
    }

    /// Takes `master` off these pods, and leaves our mark on each.
    async fn clear(&mut self, others: &[Meta]) -> Result<Cleared, Failure> {
        for other in others {
            let Some(name) = other.metadata.name.clone() else { continue };
            let mut change = json!({"resourceVersion": other.metadata.resource_version});
            if labelled(other, &self.label) == Some("master") {
                change["labels"] = json!({&self.label: null});
            }
            match self.patch(&name, change).await {
                Ok(_) | Err(Failure::Missing) => {}
                Err(Failure::Conflict) => return Ok(Cleared::ChangedMeanwhile),
                Err(failure) => return Err(failure),
            }
        }
        Ok(Cleared::All)
    }

    async fn own(&mut self) -> Result<Meta, Failure> {
        let pod = self.pod.clone();
        self.caller.call(async |client| pods(client).get_metadata(&pod).await).await
    }

    async fn others(&mut self, group: &str) -> Result<Vec<Meta>, Failure> {
        let which = ListParams::default().labels(&format!("{GROUP}={group}")).limit(PODS_LIMIT);
        let all = self.caller.call(async |client| pods(client).list_metadata(&which).await).await?;
        Ok(all.items.into_iter().filter(|one| one.metadata.name.as_ref() != Some(&self.pod)).collect())
    }

    /// Changes a pod's metadata, and always its version.
    async fn patch(&mut self, pod: &str, mut metadata: Value) -> Result<Meta, Failure> {
        self.writes += 1;
        metadata["annotations"] = json!({MARK: format!("{} {}-{}", self.pod, self.run, self.writes)});
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let call = async |client| pods(client).patch_metadata(pod, &PatchParams::default(), &patch).await;
        self.caller.call(call).await
    }

    /// The group's name: as set, or that of the workload which made the pod. A Deployment's goes on over its ReplicaSets.
    fn group_of(&self, own: &Meta) -> String {
        if let Some(group) = &self.group {
            return group.clone();
        }
        let owners = own.metadata.owner_references.as_deref().unwrap_or_default();
        let owner = owners.iter().find(|owner| owner.controller == Some(true));
        let name = owner.map_or(self.fallback.as_str(), |owner| owner.name.as_str());
        let hash = labelled(own, "pod-template-hash").filter(|_| owner.is_some_and(|owner| owner.kind == "ReplicaSet"));
        let name = hash.and_then(|hash| name.strip_suffix(hash)).unwrap_or(name);
        // As much of it as a label may hold.
        name.chars().take(63).collect::<String>().trim_end_matches(['-', '.', '_']).to_owned()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cleared {
    All,
    ChangedMeanwhile,
}

fn pods(client: Client) -> Api<Pod> {
    Api::default_namespaced(client)
}

fn labelled<'a>(pod: &'a Meta, label: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(label).map(String::as_str)
}

#[cfg(test)]
mod tests;
