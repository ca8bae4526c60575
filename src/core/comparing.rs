//! Somebody else shall lead: do the replicas hold the same? Then they refuse INFO to Sentinel (design section 4, "Child crash";
//! D1).

use std::time::Duration;

use super::Supervisor;
use super::candidacy::QUICKEN;
use super::crash::Stage;
use super::id::Address;
use super::message::PeerMessage;
use super::moment::Moment;
use super::outbox::Purpose;

/// A look at each replica takes no longer than this.
const COMPARES_WITHIN: Duration = Duration::from_millis(75);

/// Whether the replicas hold the same, by a look at each; and by another, as what the master had sent may still have been on
/// its way.
#[derive(Clone, Copy, Debug)]
pub enum Comparing {
    /// Looked at once, since then.
    Once { since: Moment },
    /// Looked at again.
    Again { since: Moment },
}

impl Supervisor {
    /// Equal offsets: whoever Sentinel takes has everything, and the replicas refuse INFO, so that it sees who leads at once.
    /// Else it must read INFO anew and take the newest (1.1 s). Until the looks since tell, nobody is asked (D1).
    pub(super) fn still_comparing(&mut self, step: Comparing) -> bool {
        let (Comparing::Once { since } | Comparing::Again { since }) = step;
        let equal = self.replicas_are_equal_since(since) && !self.another_says_master();
        let end = since + COMPARES_WITHIN;
        let next = match step {
            _ if equal && (self.sentinels_were_read_since(since) || self.now >= end) => None,
            _ if self.now < end => {
                self.out.wake_at(end);
                return true;
            }
            Comparing::Once { .. } => Some(Comparing::Again { since: self.now }),
            Comparing::Again { .. } => None,
        };
        if let Some(crash) = &mut self.crash {
            crash.stage = Stage::Replaced { comparing: next };
        }
        if next.is_some() {
            self.look_everywhere();
            self.out.wake_at(self.now + COMPARES_WITHIN);
        }
        if equal {
            let others: Vec<Address> = self.evidence.servers.keys().copied().collect();
            for at in others {
                let message = PeerMessage::Quicken { lasting: QUICKEN };
                self.out.ask(at, message, Duration::from_millis(300), Purpose::Favour);
            }
        }
        next.is_some()
    }

    /// Those that answered have been read since: a Sentinel is chosen by how old its INFO is.
    fn sentinels_were_read_since(&self, since: Moment) -> bool {
        let mut living = self.evidence.answering(self.now).filter_map(|(at, _)| self.evidence.sentinels.get(&at));
        living.all(|entry| entry.rows_asked.is_some_and(|asked| asked >= since))
    }

    /// The replicas that answer hold the same, by looks since then.
    fn replicas_are_equal_since(&self, since: Moment) -> bool {
        let living = self.evidence.servers.values().filter(|entry| entry.server.view(self.now).is_some());
        let mut offsets = living.map(|entry| entry.server.view_since(since).map(|seen| seen.history.offset));
        let Some(Some(first)) = offsets.next() else { return false };
        offsets.all(|offset| offset == Some(first))
    }
}
