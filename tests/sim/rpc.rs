//! Question and answer over the network, with a time limit on the asking side. Answered exactly once.

use std::cell::RefCell;
use std::rc::Rc;

use redinit::core::seen::Failure;

use crate::net::{Sent, Way};
use crate::world::{HostId, Job, Which, World};

type Done<R> = Box<dyn FnOnce(&mut World, Result<R, Failure>)>;

/// Takes the answer back to whom it is for.
pub struct Responder<R> {
    done: Rc<RefCell<Option<Done<R>>>>,
    asker: (HostId, Which, u32),
    here: HostId,
}

impl<R> Clone for Responder<R> {
    fn clone(&self) -> Self {
        Responder { done: self.done.clone(), asker: self.asker, here: self.here }
    }
}

impl<R: 'static> Responder<R> {
    /// Sends the answer; a second one is dropped, as is one that comes too late.
    pub fn answer(self, w: &mut World, result: Result<R, Failure>) {
        let (h, which, generation) = self.asker;
        let done = self.done;
        w.send(self.here, h, Way::Alone, Box::new(move |w| finish(w, h, which, generation, done, result)));
    }

    /// Answers without a way back through the network.
    fn now(self, w: &mut World, result: Result<R, Failure>) {
        let (h, which, generation) = self.asker;
        finish(w, h, which, generation, self.done, result);
    }
}

fn finish<R: 'static>(
    w: &mut World,
    h: HostId,
    which: Which,
    generation: u32,
    done: Rc<RefCell<Option<Done<R>>>>,
    result: Result<R, Failure>,
) {
    if done.borrow().is_none() {
        return;
    }
    w.post(
        h,
        which,
        Some(generation),
        Box::new(move |w| {
            let taken = done.borrow_mut().take();
            if let Some(done) = taken {
                done(w, result);
            }
        }),
    );
}

impl World {
    /// Asks a process on another host. `serve` runs there when the question is read, which may be long after `limit`.
    pub fn ask<R: 'static>(
        &mut self,
        from: (HostId, Which),
        to: (HostId, Which),
        limit: u64,
        serve: impl FnOnce(&mut World, Responder<R>) + 'static,
        done: impl FnOnce(&mut World, Result<R, Failure>) + 'static,
    ) {
        let generation = self.process(from.0, from.1).generation;
        let asker = (from.0, from.1, generation);
        let cell: Rc<RefCell<Option<Done<R>>>> = Rc::new(RefCell::new(Some(Box::new(done))));
        let responder = Responder { done: cell.clone(), asker, here: to.0 };
        let back = responder.clone();
        let arrive: Job = Box::new(move |w| {
            let refused = responder.clone();
            let job: Job = Box::new(move |w| serve(w, responder));
            if w.hand(to.0, to.1, None, job).is_err() {
                refused.answer(w, Err(Failure::Refused));
            }
        });
        if self.send(from.0, to.0, Way::Alone, arrive) == Sent::Rejected {
            let at = self.now + 500;
            self.at(at, Box::new(move |w| back.now(w, Err(Failure::Refused))));
        }
        let late = Responder { done: cell, asker, here: to.0 };
        self.at(self.now + limit, Box::new(move |w| late.now(w, Err(Failure::Silent))));
    }
}
