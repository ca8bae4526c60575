//! The side-car's contract: `GET /` gives `{"name":"<id>"}`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a lease lasts for those who wait for its end. Its holder gives up at [`GIVE_UP`], well before.
pub const LEASE: Duration = Duration::from_secs(15);
/// The holder renews this often.
pub const RENEW: Duration = Duration::from_secs(2);
/// A holder that could not renew for this long holds nothing any more; nobody names it any longer either.
pub const GIVE_UP: Duration = Duration::from_secs(10);

/// The answer. The name is empty where nobody is known to lead (A6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The leader's id.
    pub name: String,
    /// Present in redinit's own answers only: by this they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redinit: Option<Ours>,
}

/// What only redinit's elector says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ours {
    /// The length of the lease that stands behind the name.
    pub lease_ms: u64,
}

impl Answer {
    /// redinit's own answer.
    pub fn ours(name: String) -> Self {
        Answer { name, redinit: Some(Ours { lease_ms: LEASE.as_millis() as u64 }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_answer_and_ours_are_told_apart() {
        let foreign: Answer = serde_json::from_str(r#"{"name":"redis-0"}"#).expect("an answer");
        assert_eq!(foreign, Answer { name: "redis-0".to_owned(), redinit: None });
        let ours = serde_json::to_string(&Answer::ours("10.0.0.1".to_owned())).expect("JSON");
        assert_eq!(ours, r#"{"name":"10.0.0.1","redinit":{"lease_ms":15000}}"#);
        assert!(serde_json::from_str::<Answer>(r#"{"name":"a","redinit":{"lease_ms":1,"more":2},"x":[]}"#).is_ok());
        assert!(serde_json::from_str::<Answer>(r#"{"nom":"a"}"#).is_err());
    }
}
