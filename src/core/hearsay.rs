//! Servers that were only spoken of: by another supervisor's message, or by an elector. Anybody may say such a thing, so
//! they are looked at, and count nowhere until they have answered: one stray report must not fence a leader (M12). Once they
//! have, what they say of themselves makes no verdict until somebody of ours knows them too (S6).

use super::evidence::{Evidence, FORGET, MOST_TARGETS, ServerEntry, Word};
use super::id::Address;
use super::moment::Moment;

impl Evidence {
    /// Somebody speaks of this server, or it speaks of itself.
    pub(super) fn hear_of(&mut self, at: Address, now: Moment) {
        let known = self.servers.contains_key(&at) || self.hearsay.contains_key(&at) || self.is_stranger(at);
        if !known && self.may_be_another(at) && self.servers.len() + self.hearsay.len() < MOST_TARGETS {
            self.hearsay.insert(at, ServerEntry { listed_since: now, ..ServerEntry::default() });
        }
    }

    /// It has answered a look: from now on it is one of the known servers.
    pub(super) fn let_in(&mut self, at: Address) {
        if let Some(entry) = self.hearsay.remove(&at) {
            self.servers.entry(at).or_insert(entry);
        }
    }

    /// Servers that are here on this word.
    pub(super) fn of_word(&self, word: Word) -> impl Iterator<Item = Address> {
        self.looked_at().filter(move |(_, entry)| entry.word == word).map(|(at, _)| *at)
    }

    /// It is one of ours after all.
    pub(super) fn vouch(&mut self, at: Address) {
        if let Some(entry) = self.entry_mut(at) {
            entry.word = Word::Ours;
        }
    }

    /// What has been seen of a server, known or only spoken of.
    pub(super) fn entry_mut(&mut self, at: Address) -> Option<&mut ServerEntry> {
        match self.servers.get_mut(&at) {
            Some(entry) => Some(entry),
            None => {
                let spoken = self.hearsay.get_mut(&at);
                spoken.or_else(|| self.apart.get_mut(&at)).or_else(|| self.strangers.get_mut(&at))
            }
        }
    }

    /// Every server that is looked at.
    pub(super) fn looked_at(&self) -> impl Iterator<Item = (&Address, &ServerEntry)> {
        self.servers.iter().chain(&self.hearsay)
    }

    /// Who was spoken of and has not answered for long is heard of no more.
    pub(super) fn forget_hearsay(&mut self, now: Moment) {
        self.hearsay.retain(|_, entry| now.since(entry.listed_since) <= FORGET);
    }
}
