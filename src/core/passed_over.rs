//! A server that lives while its supervisor says nothing: a Sentinel chooses it, and it never leads (F3).

use std::time::Duration;

use super::Supervisor;
use super::action::Level;
use super::asker::STUCK_AFTER;
use super::favour::LONGEST_PRIORITY;
use super::id::Address;
use super::moment::Moment;

/// A supervisor is silent when it has answered nothing for this long: more than one look in a row.
const SILENT: Duration = Duration::from_secs(1);
/// Who holds more is waited for as long as somebody steps back for it (M8). What it holds is in a rollback file when its
/// supervisor wakes up.
const WAITED_FOR: Duration = LONGEST_PRIORITY;

impl Supervisor {
    /// Its supervisor may still let it lead: it answers, or has not been silent for long enough since the master is gone.
    pub(super) fn may_still_lead(&self, at: Address) -> bool {
        let waited = |since: Moment| self.now.since(since) >= WAITED_FOR;
        !(self.asker.gone_since.is_some_and(waited) && self.silent_since(at).is_some_and(waited))
    }

    /// Since when its supervisor has said nothing, while it lives itself.
    fn silent_since(&self, at: Address) -> Option<Moment> {
        let entry = self.evidence.servers.get(&at).filter(|entry| entry.server.view(self.now).is_some())?;
        let since = entry.supervisor.failing()?.since;
        (self.now.since(since) >= SILENT && !self.unsupervised(at)).then_some(since)
    }

    fn chosen_and_silent(&self) -> Option<(Address, Moment)> {
        let chosen = self.evidence.answering(self.now).filter_map(|(_, seen)| seen.chosen()).map(|row| row.address);
        let mut others = chosen.filter(|at| *at != self.rules.me);
        others.find_map(|at| self.silent_since(at).map(|since| (at, since)))
    }

    /// Sentinels choose such a one, and would again. No other is asked meanwhile; when its time is over they are to choose us.
    pub(super) fn passes_over_the_silent(&mut self, gone_since: Moment) -> bool {
        let Some((silent, since)) = self.chosen_and_silent() else {
            // Until they show us first they would choose it again.
            return self.favoured() && self.evidence.servers.keys().any(|at| self.silent_since(*at).is_some());
        };
        if !self.we_ask() {
            return false;
        }
        let holds_more = self.replica_that_holds_more().is_some_and(|(holder, _)| holder == silent);
        let due = gone_since.max(since) + if holds_more { WAITED_FOR } else { STUCK_AFTER };
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
