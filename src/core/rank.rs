//! Whose data are the newest (design section 3.4).

use std::cmp::Ordering;

use super::id::{Offset, ReplId};
use super::message::{Rank, Step};
use super::seen::History;

/// How two holders of data compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The first should lead.
    Better,
    /// The second should lead.
    Worse,
    /// Unrelated histories at one epoch: no way to tell which is newer.
    Unrelated,
}

/// Compares two ranks of different servers.
pub fn compare(a: &Rank, b: &Rank) -> Standing {
    compare_among(a, b, &a.line.iter().chain(&b.line).collect::<Vec<_>>())
}

/// A state file may be that far behind the stream by pings and hellos alone, which an append-only file does not tell: 5 s of
/// what seven Sentinels say. Whoever was master and lacks more than that has lost the end of its file (V2).
const SAID_WITHOUT_DATA: u64 = 8_192;

/// The same, by what all know of how histories went on.
pub fn compare_among(a: &Rank, b: &Rank, steps: &[&Step]) -> Standing {
    let by_authority =
        a.has_data.cmp(&b.has_data).then(a.epoch.cmp(&b.epoch)).then_with(|| match a.was_master_with_aof {
            led if led == b.was_master_with_aof => Ordering::Equal,
            true if !lacks_much_of(a, b, steps) => Ordering::Greater,
            false if !lacks_much_of(b, a, steps) => Ordering::Less,
            _ => Ordering::Equal,
        });
    let order = match by_authority {
        Ordering::Equal if a.has_data => {
            // A history that was never recorded is of a server that died before it had seen much (B1).
            let known = |rank: &Rank| !rank.history.0.is_empty();
            if known(a) != known(b) {
                return if known(a) { Standing::Better } else { Standing::Worse };
            }
            match by_offset(a, b, steps) {
                Some(order) => order,
                None if known(a) => return Standing::Unrelated,
                None => a.offset.cmp(&b.offset),
            }
        }
        decided => decided,
    };
    match order.then(a.last_write.cmp(&b.last_write)).then(b.address.cmp(&a.address)) {
        Ordering::Less => Standing::Worse,
        _ => Standing::Better,
    }
}

/// Who got further, where both are of one line.
fn by_offset(a: &Rank, b: &Rank, steps: &[&Step]) -> Option<Ordering> {
    let one_snapshot = raw(a).0 == raw(b).0;
    if one_snapshot || history(a).related(&history(b)) || began_nothing(a, b) || began_nothing(b, a) {
        return Some(a.offset.cmp(&b.offset));
    }
    // What one has loaded is a beginning of what the other holds, up to where their ways part.
    let b_began = reached(raw(b), &a.history, steps).map(|upto| a.offset.cmp(&upto));
    b_began.or_else(|| reached(raw(a), &b.history, steps).map(|upto| upto.cmp(&b.offset)))
}

/// The master that was has less of one line than `other`, by more than pings and hellos.
fn lacks_much_of(master: &Rank, other: &Rank, steps: &[&Step]) -> bool {
    let at_most = Rank { offset: Offset(master.offset.0.saturating_add(SAID_WITHOUT_DATA)), ..master.clone() };
    by_offset(other, &at_most, steps) == Some(Ordering::Greater)
}

/// It was promoted, and has got nothing since: all that it holds is of the history before (12296: a conflict for ever).
fn began_nothing(rank: &Rank, other: &Rank) -> bool {
    let before = rank.second.as_ref().filter(|(_, upto)| rank.offset <= *upto);
    before.is_some_and(|(id, _)| *id == other.history || id == raw(other).0)
}

/// What was really loaded.
fn raw(rank: &Rank) -> (&ReplId, Offset) {
    (rank.line.last().map_or(&rank.history, |step| &step.history), rank.offset)
}

/// How far of `to` that is, which it led to.
fn reached((from, offset): (&ReplId, Offset), to: &ReplId, steps: &[&Step]) -> Option<Offset> {
    let mut known = vec![(from, offset)];
    let mut at = 0;
    while let Some((id, offset)) = known.get(at).copied() {
        if id == to {
            return Some(offset);
        }
        for step in steps.iter().filter(|step| step.history == *id) {
            if known.iter().all(|(id, _)| **id != step.next) {
                known.push((&step.next, offset.min(step.upto)));
            }
        }
        at += 1;
    }
    None
}

/// Neither has anything that the other has not.
pub fn same_data(a: &Rank, b: &Rank) -> bool {
    let authority = (a.has_data, a.epoch, a.was_master_with_aof) == (b.has_data, b.epoch, b.was_master_with_aof);
    authority && (!a.has_data || history(a).related(&history(b)) && a.offset == b.offset)
}

/// The history inside a rank.
pub fn history(rank: &Rank) -> History {
    History { id: rank.history.clone(), second: rank.second.clone(), offset: rank.offset }
}

/// Would a sync of `own` from `master` discard anything that `own` holds? A partial resync, or a full one that brings
/// everything back, does not (invariant 8).
pub fn discards(own: &History, master: &History) -> bool {
    given_up(own, master) != Some(0)
}

/// All data of `own` are in what `began` is sure to hold, by one history that both count in. What led from one history to
/// the next is left out: whoever loads an append-only file begins to count anew.
pub fn holds_all_of(began: &Rank, own: &Rank) -> bool {
    let Some(data) = own.data else { return !own.has_data };
    let known = |id: &ReplId| !id.0.is_empty();
    let before = own.second.as_ref().filter(|(_, upto)| data <= *upto).map(|(id, _)| id);
    let ours = |id: &ReplId| *id == own.history || before == Some(id);
    let reaches = |id: &ReplId, upto: Offset| known(id) && ours(id) && data <= upto.min(began.offset);
    let reached_before = || began.second.as_ref().is_some_and(|(id, upto)| reaches(id, *upto));
    let (loaded, of_master) = (raw(own).0, raw(began).0);
    let one_snapshot = known(loaded) && loaded == of_master && data <= began.offset;
    one_snapshot || reaches(&began.history, began.offset) || reached_before()
}

/// How many bytes of the replication stream a sync of `own` from `master` gives up, where the two have a point in common.
pub fn given_up(own: &History, master: &History) -> Option<u64> {
    let common = match &master.second {
        _ if own.id == master.id => master.offset,
        Some((id, upto)) if *id == own.id => *upto,
        _ => return None,
    };
    Some(own.offset.0.saturating_sub(common.0))
}

/// Does `a` hold more of the same history than `b`?
pub fn holds_more(a: &History, b: &History) -> bool {
    a.related(b) && a.offset > b.offset
}
