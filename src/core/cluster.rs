//! Which cluster this is: an id that the first leader makes or the settings give, that every state file keeps and every
//! message carries. Two clusters in one network may share the group's name, the password and, one after the other, an address.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::SentinelId;

/// Hexadecimal digits of a tag.
const TAG: usize = 16;
/// Digits that tell a tagged Sentinel id from one that happens to look like it.
const CHECK: usize = 8;
/// Digits of a Sentinel's `myid`, as the engine wants them.
const MY_ID: usize = 40;

/// A cluster's id: 1 to 128 of `A-Z a-z 0-9 . - _ /`. It is no secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterId(String);

impl ClusterId {
    /// One that was never there before.
    pub fn made(random: u64) -> Self {
        ClusterId(format!("{random:016x}"))
    }

    /// As a person or another supervisor writes it; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/');
        ((1..=128).contains(&text.len()) && text.bytes().all(allowed)).then(|| ClusterId(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a Sentinel's `myid` carries of it: itself where a leader made it, else a hash.
    pub fn tag(&self) -> ClusterTag {
        match is_hex(&self.0, TAG) {
            true => ClusterTag(self.0.clone()),
            false => ClusterTag(format!("{:016x}", hash(self.0.as_bytes()))),
        }
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ClusterId> for String {
    fn from(id: ClusterId) -> String {
        id.0
    }
}

impl TryFrom<String> for ClusterId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        ClusterId::parse(&text).ok_or("a cluster's id is 1 to 128 of `A-Z a-z 0-9 . - _ /`")
    }
}

/// 16 hexadecimal digits by which Sentinels of one cluster are known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterTag(String);

impl ClusterTag {
    /// The id of a cluster of which only the tag is known. It has the same tag.
    pub fn as_id(&self) -> ClusterId {
        ClusterId(self.0.clone())
    }

    fn check(&self) -> String {
        format!("{:016x}", hash(["redinit ", &self.0].concat().as_bytes())).chars().take(CHECK).collect()
    }
}

impl fmt::Display for ClusterTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SentinelId {
    /// The id of a Sentinel of this cluster. `node`: 40 hexadecimal digits of the node's own, of which the first count.
    pub fn of_cluster(tag: &ClusterTag, node: &str) -> Self {
        let digits = tag.0.chars().chain(tag.check().chars().collect::<Vec<_>>()).chain(node.chars());
        SentinelId(digits.take(MY_ID).collect())
    }

    /// Of which cluster it is; `None` for a Sentinel of other makers, or one that knows no cluster yet.
    pub fn cluster(&self) -> Option<ClusterTag> {
        if !is_hex(&self.0, MY_ID) {
            return None;
        }
        let tag = ClusterTag(self.0.chars().take(TAG).collect());
        let check: String = self.0.chars().skip(TAG).take(CHECK).collect();
        (check == tag.check()).then_some(tag)
    }
}

/// How sure an id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Made by a leader that has acknowledged no write yet: it gives way to any other.
    New,
    /// Writes have been acknowledged under it, or the settings give it: it never changes by itself.
    Settled,
}

/// The id as a node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The id.
    pub id: ClusterId,
    /// How sure.
    pub standing: Standing,
}

/// Whether another one belongs to our cluster, as far as ids tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinship {
    /// The same id.
    Ours,
    /// Another settled one.
    Foreign,
    /// One of us has none, or none that is settled.
    Unknown,
}

impl Identity {
    /// One that is settled.
    pub fn settled(id: ClusterId) -> Self {
        Identity { id, standing: Standing::Settled }
    }

    /// It is settled.
    pub fn is_settled(&self) -> bool {
        self.standing == Standing::Settled
    }
}

/// What ids tell of another one.
pub fn kinship(ours: Option<&Identity>, theirs: Option<&Identity>) -> Kinship {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if ours.id.tag() == theirs.id.tag() => Kinship::Ours,
        (Some(ours), Some(theirs)) if ours.is_settled() && theirs.is_settled() => Kinship::Foreign,
        _ => Kinship::Unknown,
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// FNV-1a of 64 bits: nothing secret hangs on it.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ClusterId {
        ClusterId::parse(text).unwrap_or_else(|| unreachable!("{text} is an id"))
    }

    #[test]
    fn a_sentinels_id_tells_its_cluster_and_differs_between_clusters() {
        let node = "0123456789abcdef0123456789abcdef01234567";
        let ids: Vec<SentinelId> = [id("prod/redis"), id("test/redis"), ClusterId::made(7)]
            .iter()
            .map(|id| SentinelId::of_cluster(&id.tag(), node))
            .collect();
        assert!(ids.iter().all(|id| id.0.len() == MY_ID && is_hex(&id.0, MY_ID)), "{ids:?}");
        assert_eq!(ids[0].cluster(), Some(id("prod/redis").tag()));
        assert_ne!(ids[0], ids[1]);
        assert_eq!(ids[2].cluster().map(|tag| tag.as_id()), Some(ClusterId::made(7)));
        for other in [node, "", "zz", &"g".repeat(40)] {
            assert_eq!(SentinelId(other.into()).cluster(), None, "{other}");
        }
    }

    #[test]
    fn who_knows_the_tag_only_is_kin_to_who_knows_the_id() {
        let named = Identity::settled(id("prod/redis"));
        let tagged = Identity::settled(named.id.tag().as_id());
        let other = Identity::settled(id("other"));
        let new = Identity { id: id("other"), standing: Standing::New };
        assert_eq!(kinship(Some(&named), Some(&tagged)), Kinship::Ours);
        assert_eq!(kinship(Some(&named), Some(&other)), Kinship::Foreign);
        assert_eq!(kinship(Some(&named), Some(&new)), Kinship::Unknown);
        assert_eq!(kinship(None, Some(&other)), Kinship::Unknown);
        assert_eq!(kinship(Some(&named), None), Kinship::Unknown);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "a b", "ü", &"x".repeat(129), "a\n"] {
            assert_eq!(ClusterId::parse(text), None, "{text}");
            assert!(serde_json::from_value::<ClusterId>(text.into()).is_err());
        }
        assert_eq!(serde_json::to_value(id("a/b-c_d.e")).ok(), Some("a/b-c_d.e".into()));
    }
}
