//! Who is master? A pure function of the evidence (design section 3; A1 to A8, F2).

use super::evidence::Evidence;
use super::id::{Address, Epoch};
use super::moment::Moment;
use super::rules::Rules;

/// What discovery concluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A majority of Sentinels names it at the highest epoch, and it says master itself.
    Confirmed { master: Address, epoch: Epoch },
    /// It says master and nobody contradicts; no majority of Sentinels says so.
    Hint { master: Address },
    /// A majority names it, but it does not say master: a failover is due. Never followed.
    Named { master: Address, epoch: Epoch, shows: NamedShows },
    /// Several say master and nobody may choose between them: nothing moves.
    Conflict { masters: Vec<Address> },
    /// Nobody says master.
    Unknown(Unknown),
}

impl Verdict {
    /// A majority names this one, and it says master.
    pub fn confirms(&self, at: Address) -> bool {
        matches!(self, Verdict::Confirmed { master, .. } if *master == at)
    }
}

/// What the named one shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedShows {
    /// It says replica (A5).
    Replica,
    /// It does not answer.
    Nothing,
    /// It is ourselves, and we do not lead.
    Ourselves,
}

/// Why nobody is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// No Sentinel is configured or known.
    NoSentinels,
    /// Enough Sentinels answered and none of them knows a master.
    NoOpinion,
    /// Sentinels answer but differ.
    Split,
    /// Sentinels do not answer: could not ask, which is not no.
    Silent,
}

/// Our own part in the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Our child says master and we mean it.
    Master,
    /// Anything else.
    Other,
}

/// Draws the conclusion.
pub fn verdict(evidence: &Evidence, rules: &Rules, own: Own, now: Moment) -> Verdict {
    let opinions: Vec<(Address, Epoch)> = evidence
        .answering(now)
        .filter_map(|(_, seen)| seen.master.as_ref().map(|row| (row.address, row.epoch)))
        .collect();
    if let Some((named, epoch)) = majority_at_highest(&opinions, evidence.sentinel_majority(rules.quorum, now)) {
        return of_named(evidence, rules, own, named, epoch, now);
    }
    let mut masters: Vec<Address> = evidence
        .servers
        .iter()
        .filter(|(_, entry)| entry.says_master(now) && evidence.is_one_of_ours(entry))
        .map(|(at, _)| *at)
        .collect();
    if masters.len() > 1 {
        masters.retain(|at| !evidence.is_a_second_address(*at, now));
    }
    if own == Own::Master {
        masters.push(rules.me);
    }
    match masters.as_slice() {
        [] => match evidence.stranger_named_by_the_most(rules.quorum, now) {
            // They have been taken over, or name one whose address has passed to somebody else: our master is gone.
            Some((master, epoch)) => Verdict::Named { master, epoch, shows: NamedShows::Nothing },
            None => Verdict::Unknown(unknown(evidence, rules, &opinions, now)),
        },
        [one] => Verdict::Hint { master: *one },
        several => match favoured(&opinions, several) {
            Some(master) => Verdict::Hint { master },
            None => Verdict::Conflict { masters: masters.clone() },
        },
    }
}

fn of_named(evidence: &Evidence, rules: &Rules, own: Own, named: Address, epoch: Epoch, now: Moment) -> Verdict {
    if named == rules.me || evidence.is_ours(named) {
        return match own {
            Own::Master => Verdict::Confirmed { master: named, epoch },
            Own::Other => Verdict::Named { master: named, epoch, shows: NamedShows::Ourselves },
        };
    }
    let entry = evidence.servers.get(&named).filter(|entry| evidence.is_one_of_ours(entry));
    if entry.is_some_and(|entry| entry.says_master(now)) {
        Verdict::Confirmed { master: named, epoch }
    } else if entry.is_some_and(|entry| entry.says_replica(now)) {
        Verdict::Named { master: named, epoch, shows: NamedShows::Replica }
    } else {
        Verdict::Named { master: named, epoch, shows: NamedShows::Nothing }
    }
}

/// The address that at least `majority` name at the highest epoch (A4: a lone lower or equal one changes nothing).
fn majority_at_highest(opinions: &[(Address, Epoch)], majority: usize) -> Option<(Address, Epoch)> {
    let highest = opinions.iter().map(|(_, epoch)| *epoch).max()?;
    let at_highest =
        |address: Address| opinions.iter().filter(|(at, epoch)| *at == address && *epoch == highest).count();
    let (best, _) = opinions.iter().filter(|(_, epoch)| *epoch == highest).max_by_key(|(at, _)| at_highest(*at))?;
    // Those that name the same address at a lower epoch agree as well; hello has just not reached them.
    let agreeing = opinions.iter().filter(|(at, _)| at == best).count();
    let contradicted =
        opinions.iter().any(|(at, epoch)| at != best && *epoch == highest && at_highest(*at) >= at_highest(*best));
    (agreeing >= majority && !contradicted).then_some((*best, highest))
}

/// Of several masters, the one that the highest-epoch Sentinels name, where they name just one of them.
fn favoured(opinions: &[(Address, Epoch)], masters: &[Address]) -> Option<Address> {
    let highest = opinions.iter().map(|(_, epoch)| *epoch).max()?;
    let mut named: Vec<Address> = opinions.iter().filter(|(_, epoch)| *epoch == highest).map(|(at, _)| *at).collect();
    named.dedup();
    match named.as_slice() {
        [one] if masters.contains(one) => Some(*one),
        _ => None,
    }
}

fn unknown(evidence: &Evidence, rules: &Rules, opinions: &[(Address, Epoch)], now: Moment) -> Unknown {
    if !opinions.is_empty() {
        return Unknown::Split;
    }
    if evidence.without_opinion(now) >= rules.quorum {
        return Unknown::NoOpinion;
    }
    if evidence.no_sentinels(rules) {
        return Unknown::NoSentinels;
    }
    Unknown::Silent
}
