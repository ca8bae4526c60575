//! Leading again after a crash or a restart: in time, before anybody can have been promoted; or however late, once
//! there is nobody else whom the Sentinels could name (M27).

use std::collections::BTreeMap;
use std::time::Duration;

use super::Supervisor;
use super::action::ChildOrder;
use super::course::Basis;
use super::crash::{Crash, Origin, Stage};
use super::evidence::{Evidence, ServerEntry};
use super::id::{Address, AttemptId};
use super::message::{PeerAnswer, PeerMessage};
use super::moment::Moment;
use super::outbox::Purpose;
use super::rules::Rules;
use super::seen::{Failure, Rows, SentinelSeen};

/// Sentinels must have heard the old process less than down-after minus this ago.
const PING_MARGIN: Duration = Duration::from_secs(2);
/// How long consents to a restart in place are gathered.
const CONSENT_LIMIT: Duration = Duration::from_millis(300);

/// Who is refused asks again only after this long, however long everybody else has been down.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Where everything has just started, the others load: whoever is refused asks again, for so long and so often.
const OTHERS_LOAD: Duration = Duration::from_secs(1);
const ASK_WHO_LOADS: Duration = Duration::from_millis(100);

/// Why we may lead again at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// We are back before anybody can have been promoted.
    InTime,
    /// We are late, but there is nobody else whom the Sentinels could name (M27).
    NobodyElse,
}

/// What forbids a restart in place, if anything does. Pure; one table test a line.
pub fn forbids_in_place(evidence: &Evidence, rules: &Rules, trustworthy: bool, now: Moment) -> Option<&'static str> {
    if !trustworthy {
        return Some("the data may be older than the replicas': no AOF, or not loaded whole");
    }
    if !evidence.majority_names(rules.me, rules.quorum, now) {
        return Some("no majority of Sentinels names us");
    }
    let heard_within = rules.down_after.saturating_sub(PING_MARGIN);
    for (_, seen) in evidence.answering(now) {
        let Some(row) = &seen.master else { continue };
        if row.troubled() {
            return Some("a Sentinel shows us down, or a failover");
        }
        if row.address == rules.me && row.last_ok_ping >= heard_within {
            return Some("too late: a Sentinel has not heard us for too long");
        }
    }
    if evidence.servers.values().any(|entry| entry.says_master(now)) {
        return Some("another server says master");
    }
    None
}

impl Supervisor {
    pub(super) fn try_in_place(&mut self) {
        let Some(crash) = &self.crash else { return };
        let origin = crash.origin;
        let late = self.now.since(crash.since) > self.rules.down_after.saturating_sub(PING_MARGIN);
        if !self.child.loaded {
            if late && origin == Origin::Crashed {
                self.replace("it does not load in time");
            }
            return self.out.wake_at(self.now + Duration::from_millis(50));
        }
        if let Some(why) = forbids_in_place(&self.evidence, &self.rules, self.trustworthy(origin), self.now) {
            return self.replace(why);
        }
        let again = self.crash.as_ref().and_then(|crash| crash.refused_at).map(|at| at + ASK_WHO_LOADS);
        match again.filter(|at| self.now < *at) {
            Some(at) => self.out.wake_at(at),
            None => self.seek_consents(Ground::InTime),
        }
    }

    /// Asks everybody who answers whether we may lead again.
    pub(super) fn seek_consents(&mut self, ground: Ground) {
        let attempt = self.new_attempt();
        let me = self.rules.me;
        if self.standing_consent().is_some_and(|given| given.candidate != me) {
            return self.replace("we have consented to another");
        }
        self.consent_to(me, attempt.clone());
        let message = PeerMessage::Consent {
            attempt: attempt.clone(),
            candidate: me,
            replaces: Some(me),
            rank: Box::new(self.own_rank()),
        };
        let mut answers = BTreeMap::new();
        for (at, entry) in &self.evidence.servers {
            if entry.supervisor_answers(self.now) {
                answers.insert(*at, None);
                self.out.ask(*at, message.clone(), CONSENT_LIMIT, Purpose::Consent(attempt.clone()));
            }
        }
        if let Some(crash) = &mut self.crash {
            crash.stage = Stage::Consents { attempt, ground, answers, asked: self.now };
        }
        self.look_everywhere();
        self.crash_turn();
    }

    /// An answer to our request for consent to a restart in place.
    pub(super) fn in_place_consent_answered(
        &mut self,
        attempt: &AttemptId,
        from: Address,
        answer: Result<PeerAnswer, Failure>,
    ) {
        let Some(Crash { stage: Stage::Consents { attempt: ours, answers, .. }, .. }) = &mut self.crash else { return };
        if ours != attempt {
            return;
        }
        match answer {
            Ok(answer) => answers.insert(from, Some(answer)),
            Err(_) => answers.remove(&from),
        };
    }

    pub(super) fn weigh_consents(
        &mut self,
        attempt: &AttemptId,
        ground: Ground,
        answers: &BTreeMap<Address, Option<PeerAnswer>>,
        asked: Moment,
    ) {
        if !self.child.running() || !self.child.loaded {
            return self.begin_anew();
        }
        let refused = answers.values().flatten().any(|answer| *answer != PeerAnswer::Consented);
        if refused {
            let more = answers.values().flatten().any(|answer| matches!(answer, PeerAnswer::HoldMore { .. }));
            let (now, me) = (self.now, self.rules.me);
            if let Some(crash) = &mut self.crash {
                crash.refused_at = Some(now);
                let young = crash.origin == Origin::Started && now.since(crash.since) < OTHERS_LOAD;
                if young && !more && ground == Ground::InTime {
                    crash.stage = Stage::InPlace;
                    self.consent.withdraw_own(me);
                    return self.out.wake_at(now + ASK_WHO_LOADS);
                }
            }
            return self.replace("another server refuses, or holds more");
        }
        if answers.values().any(Option::is_none) {
            return self.out.wake_at(asked + CONSENT_LIMIT);
        }
        // What the replicas hold is read once more: they got everything that the old process sent.
        let read = |entry: &ServerEntry| entry.server.failing().is_some() || entry.server.asked_since(asked);
        if self.now.since(asked) < CONSENT_LIMIT && !self.evidence.servers.values().all(read) {
            return self.out.wake_at(asked + CONSENT_LIMIT);
        }
        if let Some(bytes) = self.not_appended(&super::rank::history(&self.own_rank())) {
            return self.replace(&format!("a replica got {bytes} bytes that the append-only file lacks"));
        }
        if self.gave_way() {
            return self.replace("we have told a candidate to lead");
        }
        if let Some(why) = self.forbids(ground, answers.len()) {
            return self.replace(why);
        }
        if let Some(crash) = &mut self.crash {
            crash.stage = Stage::Leading { attempt: attempt.clone(), ground };
        }
        self.child.order(&mut self.out, self.now, ChildOrder::Lead);
    }

    /// What forbids to lead again with so many consents.
    fn forbids(&self, ground: Ground, consents: usize) -> Option<&'static str> {
        match ground {
            Ground::NobodyElse => {
                (!self.nobody_else_can_be_named()).then_some("somebody else could be named after all")
            }
            // A replica that has yet to load may hold that (V2).
            Ground::InTime if !self.file_is_whole() => Some("the append-only file is shorter than the state file says"),
            Ground::InTime => forbids_in_place(&self.evidence, &self.rules, true, self.now).or_else(|| {
                let started = self.crash.as_ref().is_some_and(|crash| crash.origin == Origin::Started);
                let known = self.evidence.known_servers(&self.rules, self.now);
                (started && consents < known / 2).then_some("no majority of the known servers consents")
            }),
        }
    }

    /// Our data are the newest that this cluster acknowledged: all that we appended, loaded whole.
    fn trustworthy(&self, origin: Origin) -> bool {
        let same_cluster = origin == Origin::Crashed || self.recovered.is_some();
        same_cluster && self.child.seen().is_some_and(|seen| seen.aof && seen.has_data)
    }

    /// A majority of Sentinels names us, and whomever one of them could name in our place is down: a failover that it
    /// runs chooses nobody. Who answers is asked for its consent besides.
    fn everybody_else_is_down(&self) -> bool {
        let down = |seen: &SentinelSeen| {
            let all = |rows: &Rows| rows.replicas.iter().all(|row| row.s_down && !row.promoted);
            seen.names(self.rules.me) && seen.rows.as_ref().is_some_and(all)
        };
        self.evidence.majority_names(self.rules.me, self.rules.quorum, self.now)
            && self.evidence.answering(self.now).all(|(_, seen)| down(seen))
            && !self.another_says_master()
    }

    /// And no failover runs now.
    fn nobody_else_can_be_named(&self) -> bool {
        self.everybody_else_is_down() && !self.a_failover_runs()
    }

    /// They have been down for W: nobody can have been named without them meanwhile (M27).
    pub(super) fn nobody_else_for_w(&mut self) -> bool {
        let (now, w) = (self.now, self.rules.w());
        let down = self.everybody_else_is_down();
        let Some(crash) = &mut self.crash else { return false };
        let since = *crash.alone_since.get_or_insert(now);
        let origin = crash.origin;
        if !down {
            crash.alone_since = None;
            return false;
        }
        let rested = crash.refused_at.is_none_or(|at| now.since(at) >= ASK_AGAIN);
        now.since(since) >= w
            && rested
            && self.child.loaded
            && self.trustworthy(origin)
            && self.nobody_else_can_be_named()
            && !self.gave_way()
    }

    /// Our child leads again, in place.
    pub(super) fn led_in_place(&mut self) -> bool {
        let Some(Crash { stage: Stage::Leading { attempt, ground }, .. }) = &self.crash else { return false };
        let attempt = attempt.clone();
        let reason = match ground {
            Ground::InTime => "restarted in place: named, heard in time, nobody promoted",
            Ground::NobodyElse => "named, and everybody else has been down for too long to be named",
        };
        self.start_leading(Basis::InPlace, attempt, reason.into());
        true
    }
}
