//! Seeking consent: L3 from the candidate's side.

use std::time::Duration;

use super::Supervisor;
use super::candidacy::Stage;
use super::id::{Address, AttemptId, Offset};
use super::message::{PeerAnswer, PeerMessage};
use super::outbox::Purpose;
use super::rank::{history, holds_more};
use super::seen::Failure;

/// A silent supervisor neither consents nor refuses after this long.
const CONSENT_LIMIT: Duration = Duration::from_millis(300);

impl Supervisor {
    pub(super) fn ask_consents(&mut self) {
        let rank = Box::new(self.own_rank());
        let Some(candidacy) = &mut self.candidacy else { return };
        let message = PeerMessage::Consent {
            attempt: candidacy.attempt.clone(),
            candidate: self.rules.me,
            replaces: Some(candidacy.replaces),
            rank,
        };
        for (at, entry) in &self.evidence.servers {
            if *at != candidacy.replaces && entry.supervisor_answers(self.now) {
                candidacy.consents.insert(*at, None);
                self.out.ask(*at, message.clone(), CONSENT_LIMIT, Purpose::Consent(candidacy.attempt.clone()));
            }
        }
    }

    /// An answer to L3 came.
    pub(super) fn consent_answered(&mut self, attempt: &AttemptId, from: Address, answer: Result<PeerAnswer, Failure>) {
        let Some(candidacy) = self.candidacy.as_mut().filter(|candidacy| candidacy.attempt == *attempt) else { return };
        match answer {
            Ok(answer) => {
                candidacy.consents.insert(from, Some(answer));
            }
            // Silence does not refuse.
            Err(_) => {
                candidacy.consents.remove(&from);
            }
        }
    }

    pub(super) fn gather_consents(&mut self) {
        let Some(candidacy) = &self.candidacy else { return };
        for (from, answer) in &candidacy.consents {
            match answer {
                Some(PeerAnswer::HoldMore { offset }) => {
                    let (from, offset) = (*from, *offset);
                    self.yield_to(from, offset);
                    return;
                }
                Some(PeerAnswer::No { reason }) => {
                    let why = format!("{from} refuses: {reason}");
                    self.end_attempt(why);
                    return;
                }
                _ => {}
            }
        }
        if candidacy.consents.values().any(Option::is_none) {
            return;
        }
        if !self.master_lives(candidacy.replaces)
            && let Some((holder, offset)) = self.replica_that_holds_more().or_else(|| self.replica_that_fits_better())
        {
            self.yield_to(holder, offset);
            return;
        }
        let stage = if self.master_lives(candidacy.replaces) { Stage::Ripening } else { Stage::Releases };
        self.set_stage(stage);
        self.candidacy_turn();
    }

    /// A replica whose server shows more of our history than we hold, its supervisor silent or not (M8), but not for ever (F3).
    pub(super) fn replica_that_holds_more(&self) -> Option<(Address, Offset)> {
        let rank = self.own_rank();
        if rank.was_master_with_aof {
            return None;
        }
        let own = history(&rank);
        self.evidence.servers.iter().find_map(|(at, entry)| {
            let seen = entry.server.view(self.now)?;
            let more = !seen.role.is_master() && holds_more(&seen.history, &own);
            (more && self.may_still_lead(*at)).then_some((*at, seen.history.offset))
        })
    }

    /// Somebody else holds more, or as much with an engine that suits all: make Sentinel choose that one.
    pub(super) fn yield_to(&mut self, holder: Address, offset: Offset) {
        let more = offset > self.own_rank().offset;
        self.end_attempt(match more {
            true => format!("{holder} holds more (offset {offset})"),
            false => format!("{holder} holds as much, and every engine here can load from it"),
        });
        self.favour_priority(Some(0), holder);
        let message =
            PeerMessage::Priority { priority: Some(1), leader: holder, lasting: super::favour::LONGEST_PRIORITY };
        self.out.ask(holder, message, Duration::from_millis(500), Purpose::Favour);
    }
}
