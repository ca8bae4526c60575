//! The password of our own user in the child: new at every start, known to nobody else, never written in plain text.

use hmac::digest::KeyInit;
use hmac::digest::generic_array::GenericArray;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::error::EngineError;
use crate::core::cluster::ClusterTag;

/// A random password. Whoever accepts it is the child that was started with it.
#[derive(Clone, Debug)]
pub struct ChildPassword(SecretString);

impl ChildPassword {
    /// 256 bits from the kernel.
    pub fn random() -> Result<Self, EngineError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| EngineError::NoRandom(error.to_string()))?;
        Ok(ChildPassword(SecretString::from(hex(&bytes))))
    }

    /// The plain text, for AUTH only.
    pub fn plain(&self) -> &str {
        self.0.expose_secret()
    }

    /// As an ACL rule.
    pub fn rule(&self) -> String {
        password_rule(self.plain())
    }
}

/// What the password of one cluster is turned into for one use: what is read in one place opens nothing else.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Replication's own user.
    Replication,
    /// Replication's user of one cluster.
    ReplicationOfCluster,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Purpose::Replication => b"redinit replication password v1",
            Purpose::ReplicationOfCluster => b"redinit replication of a cluster v1",
        }
    }
}

/// A password made from the cluster's. That one is the message and not the key: of a key longer than a block HMAC takes the
/// SHA-256, and exactly that an ACL rule shows to whoever may look at it.
pub fn derived(password: &str, purpose: Purpose) -> SecretString {
    let mut key = [0_u8; 64];
    key.iter_mut().zip(purpose.label()).for_each(|(place, byte)| *place = *byte);
    let mut mac = <Hmac<Sha256> as KeyInit>::new(GenericArray::from_slice(&key));
    mac.update(password.as_bytes());
    SecretString::from(hex(&mac.finalize().into_bytes()))
}

/// The same for one cluster: with one password for two of them what opens the one does not open the other.
pub fn of_cluster(password: &str, tag: &ClusterTag, purpose: Purpose) -> SecretString {
    derived(&format!("{tag} {password}"), purpose)
}

/// `#<sha256>`: the ACL rule for a password, by which it cannot be read back.
pub fn password_rule(password: &str) -> String {
    format!("#{}", hex(&Sha256::digest(password.as_bytes())))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _never = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_password_is_no_function_of_what_an_acl_rule_shows() {
        // As computed with Python's hmac and hashlib.
        let made = derived("secret", Purpose::Replication);
        assert_eq!(made.expose_secret(), "1eec074d468ef20c9eb1b33f18eac4d90990f1603b7209b630edc78e5c31039d");
        // A key of this length HMAC would replace by its SHA-256, and then both would come out alike.
        let long = "x".repeat(65);
        let shown = Sha256::digest(long.as_bytes());
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&shown).expect("any length");
        mac.update(Purpose::Replication.label());
        assert_ne!(derived(&long, Purpose::Replication).expose_secret(), hex(&mac.finalize().into_bytes()));
        assert_ne!(password_rule("secret"), password_rule(made.expose_secret()));
    }

    #[test]
    fn one_password_is_another_one_in_each_cluster() {
        let tag = |id: &str| crate::core::cluster::ClusterId::parse(id).expect("an id").tag();
        let of = |id: &str| of_cluster("secret", &tag(id), Purpose::ReplicationOfCluster).expose_secret().to_owned();
        assert_ne!(of("a"), of("b"));
        assert_ne!(of("a"), derived("secret", Purpose::ReplicationOfCluster).expose_secret());
        assert_eq!(of("a"), of("a"));
    }

    #[test]
    fn passwords_differ_and_are_not_shown() {
        let (one, two) = (ChildPassword::random().expect("random"), ChildPassword::random().expect("random"));
        assert_ne!(one.plain(), two.plain());
        assert!(!format!("{one:?}").contains(one.plain()));
        assert_eq!(password_rule("secret"), "#2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b");
    }
}
