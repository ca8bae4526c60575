//! The password of our own user in the child: new at every start, known to nobody else, never written in plain text.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::error::EngineError;

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
    fn passwords_differ_and_are_not_shown() {
        let (one, two) = (ChildPassword::random().expect("random"), ChildPassword::random().expect("random"));
        assert_ne!(one.plain(), two.plain());
        assert!(!format!("{one:?}").contains(one.plain()));
        assert_eq!(password_rule("secret"), "#2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b");
    }
}
