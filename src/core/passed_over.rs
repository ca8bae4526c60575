//! A server that lives while its supervisor says nothing: a Sentinel chooses it, and it never leads (F3).

use std::time::Duration;

use super::Supervisor;
use super::action::Level;
use super::asker::STUCK_AFTER;
use super::favour::LONGEST_PRIORITY;
use super::id::Address;
use super::moment::Moment;

/// Who holds more is waited for as long as somebody steps back for it (M8). What it holds is in a rollback file when its
/// supervisor wakes up.
const WAITED_FOR: Duration = LONGEST_PRIORITY;

impl Supervisor {
    /// Its supervisor may still let it lead: it answers, or has not been silent for long enough since the master is gone.
    pub(super) fn may_still_lead(&self, at: Address) -> bool {
        let over = self.asker.gone_since.is_some_and(|since| self.now.since(since) >= WAITED_FOR);
        !over || !self.supervisor_is_silent(at)
    }

    fn supervisor_is_silent(&self, at: Address) -> bool {
        let entry = self.evidence.servers.get(&at);
        let lives = entry.is_some_and(|entry| entry.server.view(self.now).is_some());
        let speaks = entry.is_some_and(|entry| entry.supervisor_answers(self.now));
        lives && !speaks && !self.unsupervised(at)
    }

    fn chosen_and_silent(&self) -> Option<Address> {
        let chosen = self.evidence.answering(self.now).filter_map(|(_, seen)| seen.chosen()).map(|row| row.address);
        let mut others = chosen.filter(|at| *at != self.rules.me);
        others.find(|at| self.supervisor_is_silent(*at))
    }

    /// Sentinels choose such a one, and would again. No other is asked meanwhile; when its time is over they are to choose us.
    pub(super) fn passes_over_the_silent(&mut self, gone_since: Moment) -> bool {
        let Some(silent) = self.chosen_and_silent() else {
            // Until they show us first they would choose it again.
            return self.favoured() && self.evidence.servers.keys().any(|at| self.supervisor_is_silent(*at));
        };
        if !self.we_ask() {
            return false;
        }
        let holds_more = self.replica_that_holds_more().is_some_and(|(holder, _)| holder == silent);
        let due = gone_since + if holds_more { WAITED_FOR } else { STUCK_AFTER };
        if self.now < due {
            self.out.wake_at(due);
        } else if !self.favoured() {
            let reason = "a Sentinel has chosen it, and its supervisor is silent: they shall choose us".into();
            self.decide(Level::Warn, "pass-over", Some(silent), reason);
            self.favour_priority(Some(1), self.rules.me);
        }
        true
    }
}
