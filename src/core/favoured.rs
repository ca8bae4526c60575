//! Who holds more than the one that a Sentinel has proposed, and who has stepped back for us, asks another one (M8).

use std::time::Duration;

use super::Supervisor;
use super::action::SentinelOrder;
use super::asker::{AskWhom, candidates};
use super::evidence::Evidence;
use super::id::Address;
use super::moment::Moment;
use super::outbox::Purpose;
use super::seen::{Rows, SentinelSeen};
use super::sentinel_life::info_period;

/// Until they have seen that a link is down, Sentinels read INFO every 1.7 to 2.5 s. Told this they do as soon as what they
/// have is half a second old. No shorter: they choose nobody whose INFO is older than three periods (100 ms: NOGOODSLAVE
/// for 2 s).
const READ_SOON: Duration = Duration::from_millis(500);

/// Those that may be asked, but who is at a failover: that one chose already, by older words.
fn at_rest(evidence: &Evidence, master: Address, now: Moment) -> impl Iterator<Item = (Address, &SentinelSeen)> {
    let asked = candidates(evidence, master, AskWhom::Unplanned { since: now }, now);
    asked.into_iter().filter_map(move |at| {
        let seen = evidence.sentinels.get(&at)?.seen.view(now)?;
        seen.master.as_ref().is_some_and(|row| !row.failover).then_some((at, seen))
    })
}

/// The Sentinels that would choose `who` now: its priority goes before that of everybody else who is up (M8).
fn shows_preferred(evidence: &Evidence, master: Address, who: Address, now: Moment) -> Vec<Address> {
    let prefers = |rows: &Rows| {
        let mut others = rows.replicas.iter().filter(|row| row.address != who && !row.s_down && !row.disconnected);
        let own = rows.replicas.iter().find(|row| row.address == who && row.priority > 0);
        own.is_some_and(|own| others.all(|row| row.priority == 0 || row.priority > own.priority))
    };
    let fit = |(_, seen): &(Address, &SentinelSeen)| seen.rows.as_ref().is_some_and(prefers);
    at_rest(evidence, master, now).filter(fit).map(|(at, _)| at).collect()
}

impl Supervisor {
    /// Asks a Sentinel that would choose us now, as soon as one would. Says whether one does.
    pub(super) fn ask_favoured(&mut self, master: Address) -> bool {
        self.hasten_reading(master);
        let list = shows_preferred(&self.evidence, master, self.rules.me, self.now);
        if list.is_empty() {
            return false;
        }
        self.wait_for_no_other_choice();
        self.ask_failover_of(master, list, "we hold more than the one proposed, and it shows us before that one");
        true
    }

    /// They learn of the priorities by INFO: once, while we are favoured, they are made to read it soon, except who is at a
    /// failover (M11: 2.4 s).
    fn hasten_reading(&mut self, master: Address) {
        if !self.asker.hastened.is_empty() || self.child.priority != Some(Some(1)) {
            return;
        }
        self.asker.hastened = at_rest(&self.evidence, master, self.now).map(|(at, _)| at).collect();
        for at in &self.asker.hastened {
            self.out.sentinel(*at, SentinelOrder::InfoPeriod(READ_SOON), Purpose::InfoPeriod);
        }
    }

    /// The favour is over: as often as their supervisors have told them, where they have one.
    pub(super) fn read_as_before(&mut self) {
        for at in std::mem::take(&mut self.asker.hastened) {
            let seen = self.evidence.sentinels.get(&at).and_then(|entry| entry.seen.remembered());
            let Some((seen, _)) = seen else { continue };
            let period = info_period(self.place_of(&seen.id, |_| true));
            self.out.sentinel(at, SentinelOrder::InfoPeriod(period), Purpose::InfoPeriod);
        }
    }

    /// The one asked has proposed another, who has stepped back for us: nothing more is to come from it (M11: 1.9 s).
    fn wait_for_no_other_choice(&mut self) {
        let Some((at, _)) = self.asker.current else { return };
        let seen = self.evidence.sentinels.get(&at).and_then(|entry| entry.seen.view(self.now));
        if seen.and_then(|seen| seen.chosen()).is_some_and(|row| row.address != self.rules.me) {
            self.asker.current = None;
        }
    }
}
