//! TLS is not in this version: its names are known, and turning it on is refused rather than ignored.

use super::reader::Reader;
use super::{keys, values};

/// Refuses TLS; tells where the rest of it is set without effect.
pub fn refuse(reader: &mut Reader, warnings: &mut Vec<String>) {
    if reader.parse("tls.enabled", values::truth, false) {
        reader.refuse("tls.enabled", "not in this version; allowed: `false`".into());
        return;
    }
    let rest = keys::KEYS.iter().map(|key| key.key).filter(|key| key.starts_with("tls.") && *key != "tls.enabled");
    let set: Vec<&str> = rest.filter(|key| reader.is_set(key)).collect();
    if !set.is_empty() {
        warnings.push(format!("TLS is not in this version and not turned on: {} have no effect", set.join(", ")));
    }
}
