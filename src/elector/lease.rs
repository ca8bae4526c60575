//! The lock `kubernetes`: a `Lease` of the pod's namespace, named as the election is.
//!
//! Every write names the `resourceVersion` that was read, so that of several the API server takes one. The times in the
//! object are for people: nobody here reads them (clocks differ).

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use tokio::runtime::Runtime;

use super::answer::LEASE;
use super::lock::{Lease, Lock, LockError, Stamp, is_name};
use crate::kubernetes::access::{Access, Caller, Failure};

/// Which run of the holder: [`Lease::run`].
const RUN: &str = "redinit.io/run";
/// [`Lease::renewal`].
const RENEWAL: &str = "redinit.io/renewal";
/// No holder's name is longer.
const HOLDER_LIMIT: usize = 253;

/// A lease kept in Kubernetes. It blocks, on a runtime of its own.
pub struct LeaseLock {
    caller: Caller,
    election: String,
    runtime: Option<Runtime>,
    /// What was read or written last: what others have put into its metadata stays there.
    last: Option<Object>,
}

impl LeaseLock {
    /// The Lease of this election.
    pub fn new(access: Access, election: &str) -> Result<Self, LockError> {
        if !is_name(election) {
            return Err(LockError::Name(election.to_owned()));
        }
        Ok(LeaseLock { caller: Caller::new(access), election: election.to_owned(), runtime: None, last: None })
    }

    /// The Lease of this election, for the pod that we run in.
    pub fn of_the_pod(election: &str) -> Result<Self, LockError> {
        LeaseLock::new(Access::of_the_pod().map_err(LockError::NoServiceAccount)?, election)
    }

    fn call<T>(
        &mut self,
        what: &'static str,
        ask: impl AsyncFnOnce(Api<Object>, &str) -> kube::Result<T>,
    ) -> Result<T, CallError> {
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|source| {
                let failure = Failure::Away(format!("no runtime: {source}"));
                CallError { what, failure }
            })?,
        };
        let election = self.election.as_str();
        let call = self.caller.call(async |client| ask(Api::default_namespaced(client), election).await);
        let answer = runtime.block_on(call);
        self.runtime = Some(runtime);
        answer.map_err(|failure| CallError { what, failure })
    }

    fn failed(&self, error: CallError) -> LockError {
        let CallError { what, failure } = error;
        let lease = format!("{}/{}", self.caller.namespace(), self.election);
        match failure {
            Failure::Forbidden(words) => LockError::Forbidden { what, lease, words },
            failure => LockError::Kubernetes { what, lease, words: failure.to_string() },
        }
    }

    /// What stands there now is known: `object`, or nothing.
    fn stands(&mut self, object: Option<Object>) -> Stamp {
        let stamp = object.as_ref().map(|object| self.stamp(object)).unwrap_or_default();
        self.last = object;
        stamp
    }

    fn stamp(&self, object: &Object) -> Stamp {
        let version = version(object).as_bytes().to_vec();
        let spec = object.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
        let note = |name: &str| object.metadata.annotations.as_ref()?.get(name).cloned();
        // It goes into logs and the status.
        let sane = holder.len() <= HOLDER_LIMIT && !holder.chars().any(char::is_control);
        let lease = sane.then(|| Lease {
            election: self.election.clone(),
            holder,
            run: note(RUN).unwrap_or_default(),
            renewal: note(RENEWAL).and_then(|text| text.parse().ok()).unwrap_or_default(),
        });
        Stamp { version, lease }
    }
}

impl Lock for LeaseLock {
    fn read(&mut self) -> Result<Stamp, LockError> {
        match self.call("read", async |api, name| api.get_opt(name).await) {
            Ok(object) => Ok(self.stands(object)),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn swap(&mut self, seen: &Stamp, new: &Lease) -> Result<Option<Stamp>, LockError> {
        let written = if seen.version.is_empty() {
            let object = fill(Object::default(), &self.election, new);
            self.call("create", async |api, _| api.create(&PostParams::default(), &object).await)
        } else {
            let known = self.last.as_ref().filter(|object| version(object).as_bytes() == seen.version);
            let Some(known) = known else { return Ok(None) };
            let object = fill(known.clone(), &self.election, new);
            self.call("update", async |api, name| api.replace(name, &PostParams::default(), &object).await)
        };
        match written {
            Ok(object) => Ok(Some(self.stands(Some(object)))),
            // Somebody was first; or it has been deleted.
            Err(CallError { failure: Failure::Conflict | Failure::Missing, .. }) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }
}

struct CallError {
    what: &'static str,
    failure: Failure,
}

fn version(object: &Object) -> &str {
    object.metadata.resource_version.as_deref().unwrap_or_default()
}

/// The object with our lease in it; its `resourceVersion`, where it has one, stays.
fn fill(object: Object, name: &str, lease: &Lease) -> Object {
    let mut notes: BTreeMap<String, String> = object.metadata.annotations.unwrap_or_default();
    notes.insert(RUN.to_owned(), lease.run.clone());
    notes.insert(RENEWAL.to_owned(), lease.renewal.to_string());
    Object {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            annotations: Some(notes),
            // Whose field is whose is the server's business.
            managed_fields: None,
            ..object.metadata
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(lease.holder.clone()),
            lease_duration_seconds: i32::try_from(LEASE.as_secs()).ok(),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        }),
    }
}

/// Takes, renews and releases a Lease: what a server's Role must allow.
#[cfg(test)]
pub async fn check_rights(access: Access, election: &str) -> Result<(), String> {
    let election = election.to_owned();
    let check = move || {
        let mut lock = LeaseLock::new(access, &election)?;
        let mut stamp = lock.read()?;
        for (renewal, holder) in ["a", "a", ""].into_iter().enumerate() {
            let (run, renewal) = ("r".to_owned(), renewal as u64);
            let lease = Lease { election: election.clone(), holder: holder.to_owned(), run, renewal };
            stamp = lock.swap(&stamp, &lease)?.unwrap_or_default();
        }
        Ok(())
    };
    let checked = tokio::task::spawn_blocking(check).await;
    checked.map_err(|error| error.to_string())?.map_err(|error: LockError| error.to_string())
}

#[cfg(test)]
mod tests;
