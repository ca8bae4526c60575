//! Pods and their role labels, as an API server keeps them. Calls take a while; some fail, done or not.

use std::collections::BTreeMap;

use redinit::core::event::Event;
use redinit::core::id::RequestId;
use redinit::core::label::{LabelFailure, PodRole};

use crate::process::Which;
use crate::world::{HostId, MS, SEC, World};

/// What the API server holds. A pod stays when its container ends.
#[derive(Default)]
pub struct Pods {
    labels: BTreeMap<HostId, PodRole>,
    newest: BTreeMap<HostId, RequestId>,
    calls: u64,
}

impl Pods {
    /// Who carries this label.
    pub fn carrying(&self, role: PodRole) -> Vec<HostId> {
        self.labels.iter().filter(|(_, label)| **label == role).map(|(h, _)| *h).collect()
    }
}

impl World {
    /// An order of a supervisor. Without chance: seeds run as they do without labels.
    pub fn label(&mut self, h: HostId, id: RequestId, role: PodRole) {
        self.pods.newest.insert(h, id);
        self.pods.calls += 1;
        let calls = self.pods.calls;
        let (done, heard) = match calls % 7 {
            _ if self.hosts[h].silent => (false, false),
            3 => (false, false),
            5 => (true, false),
            _ => (true, true),
        };
        let took = (calls % 9 + 1) * 10 * MS;
        if done {
            self.at(self.now + took / 2, Box::new(move |w| w.put_label(h, id, role)));
        }
        let answered = self.now + if heard { took } else { 2 * SEC };
        let answer = move |w: &mut World| {
            let superseded = w.pods.newest.get(&h) != Some(&id);
            let done = match heard {
                _ if superseded => Err(LabelFailure::Superseded),
                true => Ok(()),
                false => Err(LabelFailure::Unknown("no answer".into())),
            };
            w.tell(h, Event::Labelled { id, done });
        };
        self.at_process(answered, h, Which::Sup, Box::new(answer));
    }

    /// The write arrives; an older one is refused.
    fn put_label(&mut self, h: HostId, id: RequestId, role: PodRole) {
        if self.pods.newest.get(&h) != Some(&id) {
            return;
        }
        if role == PodRole::Master {
            for label in self.pods.labels.values_mut().filter(|label| **label == PodRole::Master) {
                *label = PodRole::Nothing;
            }
        }
        crate::say!(self, "{} is labelled {role:?}", self.hosts[h].name);
        self.pods.labels.insert(h, role);
    }
}
