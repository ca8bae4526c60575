//! A report counts by the answer of the server that it is said to be of (S5): `from` is what a sender writes, so each is
//! asked back at the address that we know. Two that contradict each other are asked about, and neither counts.

use std::time::Duration;

use super::Supervisor;
use super::course::Basis;
use super::evidence::Word;
use super::id::{Address, ReplyId};
use super::message::{PeerAnswer, PeerMessage, Report};
use super::moment::Moment;
use super::outbox::Purpose;
use super::seen::Failure;
use super::vote::REPORT_COUNTS;

/// However often somebody reports in its name, it is asked no more often.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// An answer comes within this time, or with the next report.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);

impl Supervisor {
    /// Asks whoever has reported since it was last asked, where we know it.
    pub(super) fn confirm_reports(&mut self) {
        let now = self.now;
        let due = self.vote.reports.iter().filter(|(at, heard)| {
            let told = heard.asked.is_none_or(|asked| asked < heard.at && now.since(asked) >= ASK_AGAIN);
            **at != self.rules.me && told && now.since(heard.at) < REPORT_COUNTS && self.counts(**at)
        });
        let due: Vec<Address> = due.map(|(at, _)| *at).collect();
        for at in due {
            if let Some(heard) = self.vote.reports.get_mut(&at) {
                heard.asked = Some(now);
            }
            let message = PeerMessage::Vouch { coordinator: self.rules.me };
            self.out.ask(at, message, ANSWERS_WITHIN, Purpose::Vouch(now));
        }
    }

    /// It stands by its report, or not, or says nothing: then it is asked again after its next one.
    pub(super) fn report_vouched(&mut self, from: Address, asked: Moment, answer: Result<PeerAnswer, Failure>) {
        let Some(heard) = self.vote.reports.get_mut(&from) else { return };
        match answer {
            Ok(PeerAnswer::Report(report)) if report.rank.address == from => {
                heard.confirmed = Some((asked, *report));
                self.vouch_by_reports();
            }
            Ok(_) => {
                self.vote.reports.remove(&from);
            }
            // What it said before counts as long as any report does.
            Err(_) => {}
        }
    }

    /// Whom most of ours report to know is one of ours.
    fn vouch_by_reports(&mut self) {
        let ours: Vec<Address> = self.evidence.of_word(Word::Ours).chain([self.rules.me]).collect();
        let most = self.rules.expected_servers.unwrap_or_default().max(ours.len()) / 2;
        let spoken: Vec<Address> = self.evidence.of_word(Word::Message).collect();
        for at in spoken {
            let knows = |from: Address, report: &Report| ours.contains(&from) && report.servers.contains(&at);
            if self.counting_reports().filter(|(from, report)| knows(*from, report)).count() > most {
                self.evidence.vouch(at);
            }
        }
    }

    /// The coordinator asks whether we stand by our report. The answer is the promise that the report is, anew.
    pub(super) fn vouch_asked(&mut self, reply: ReplyId, coordinator: Address) {
        let reported =
            self.vote.reported.is_some_and(|(at, to)| to == coordinator && self.now.since(at) < REPORT_COUNTS);
        let promised = self.standing_consent().map(|given| given.candidate);
        if !reported || promised.is_some_and(|at| at != self.rules.me && at != coordinator) {
            return self.out.refuse(reply, "we have not reported to you lately");
        }
        let since = self.vote.since.unwrap_or(self.now);
        if matches!(self.vote_allowed(since), Ok(Basis::Vote { without_sentinels: true })) {
            self.vote.bound = Some((self.now, coordinator));
        }
        let report = self.own_report();
        self.out.reply(reply, PeerAnswer::Report(Box::new(report)));
    }

    /// A known server that is not among those that reported shows that it holds data: nobody who holds nothing may lead.
    pub(super) fn shows_data_unreported(&self, reported: impl Fn(Address) -> bool) -> bool {
        self.evidence.servers.iter().any(|(at, entry)| {
            let holds = entry.server.view(self.now).is_some_and(|seen| seen.has_data == Some(true));
            entry.word == Word::Ours && holds && !reported(*at)
        })
    }
}
