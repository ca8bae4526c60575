//! What is wrong with the settings: everything at once.

use std::fmt;

/// One bad setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The setting, or the name that nobody knows.
    pub key: String,
    /// What was given; `None` where it is a secret or there is nothing to show.
    pub value: Option<String>,
    /// Where it came from.
    pub origin: String,
    /// What is wrong, or what is allowed.
    pub problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            // Quoted and cut: what is wrong may hold anything, and is one line of a log.
            let shown: String = value.chars().take(120).collect();
            write!(f, " = {shown:?}")?;
            if shown.len() < value.len() {
                f.write_str("...")?;
            }
        }
        write!(f, " (from {}): {}", self.origin, self.problem)
    }
}

/// Everything that is wrong with the settings; the process exits with [`ConfigErrors::EXIT`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// `EX_CONFIG`.
    pub const EXIT: u8 = 78;
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}
