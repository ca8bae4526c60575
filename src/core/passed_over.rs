//! A server that lives while its supervisor says nothing: a Sentinel chooses it, and it never leads (F3).

use std::time::Duration;

use super::Supervisor;
use super::action::Level;
use super::asker::STUCK_AFTER;
use super::favour::LONGEST_PRIORITY;
use super::id::Address;
use super::moment::Moment;
use super::rank::history;

/// A supervisor is silent when it has answered nothing for this long: more than one look in a row.
const SILENT: Duration = Duration::from_secs(1);
/// Who holds more is waited for as long as somebody steps back for it (M8). What it holds is in a rollback file when its
/// supervisor wakes up.
const WAITED_FOR: Duration = LONGEST_PRIORITY;

impl Supervisor {
    /// Its supervisor may still let it lead: it answers, or has not been silent for long enough since the master is gone.
    pub(super) fn may_still_lead(&self, at: Address) -> bool {
        let waited = |since: Moment| self.now.since(since) >= WAITED_FOR;
        let gone = self.asker.dead.is_some_and(|(_, since)| waited(since));
        !(gone && self.silent_since(at).is_some_and(waited))
    }

    /// Since when its supervisor has said nothing, while it lives itself.
    fn silent_since(&self, at: Address) -> Option<Moment> {
        let entry = self.evidence.servers.get(&at).filter(|entry| entry.server.view(self.now).is_some())?;
        // Time in which we stood still ourselves does not count.
        let since = entry.supervisor.failing()?.since.max(self.woke_at);
        (self.now.since(since) >= SILENT && !self.unsupervised(at)).then_some(since)
    }

    fn chosen_and_silent(&self) -> Option<(Address, Moment)> {
        let chosen = self.evidence.answering(self.now).filter_map(|(_, seen)| seen.chosen()).map(|row| row.address);
        let mut others = chosen.filter(|at| *at != self.rules.me);
        others.find_map(|at| self.silent_since(at).map(|since| (at, since)))
    }

    /// All that it holds we hold too.
    fn holds_all_of(&self, at: Address) -> bool {
        let own = history(&self.own_rank());
        let seen = self.evidence.servers.get(&at).and_then(|entry| entry.server.view(self.now));
        seen.is_some_and(|seen| seen.history.related(&own) && seen.history.offset <= own.offset)
    }

    /// We step back for somebody who can be asked: a vote's best, or a leader that is to be named.
    fn favours_another(&self) -> bool {
        let other = self.priority_favour.filter(|favour| favour.leader != self.rules.me);
        other.is_some_and(|favour| self.silent_since(favour.leader).is_none())
    }

    /// Sentinels choose such a one, and would again. No other is asked meanwhile; when its time is over they are to choose us.
    pub(super) fn passes_over_the_silent(&mut self) -> bool {
        let Some((silent, since)) = self.chosen_and_silent() else {
            // Until they show us first they would choose it again.
            return self.favoured() && self.evidence.servers.keys().any(|at| self.silent_since(*at).is_some());
        };
        let Some((_, gone_since)) = self.asker.dead.filter(|_| self.we_ask() && !self.favours_another()) else {
            return false;
        };
        let due = gone_since.max(since) + if self.holds_all_of(silent) { STUCK_AFTER } else { WAITED_FOR };
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
