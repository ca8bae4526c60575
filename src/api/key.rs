//! Messages between supervisors are authenticated where a password is set: HMAC-SHA256 with a key made from it,
//! over what is asked and a nonce of the one asked, and over the answer and what was asked. Never over wall-clock
//! time (design section 7).

use std::fmt;

use hmac::digest::generic_array::GenericArray;
use hmac::digest::{CtOutput, KeyInit};
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// SHA-256's block: a key of exactly this length is used as it is.
const BLOCK: usize = 64;

/// Separates this use of the password from every other.
const LABEL: &[u8] = b"redinit peer messages v1";

/// The key of one cluster.
#[derive(Clone)]
pub struct PeerKey([u8; BLOCK]);

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerKey(..)")
    }
}

impl PeerKey {
    /// The key that belongs to this password.
    pub fn derive(password: &SecretString) -> Self {
        let hashed = padded(Sha256::digest(password.expose_secret()).into());
        PeerKey(padded(digest(&hashed, &[LABEL])))
    }

    /// The mark on a message: method and target as in the request line, a nonce of the one asked, the body.
    pub fn mark_request(&self, method: &str, target: &str, nonce: &str, body: &[u8]) -> Mark {
        Mark(digest(&self.0, &[b"ask", method.as_bytes(), target.as_bytes(), nonce.as_bytes(), body]))
    }

    /// The mark on an answer: it belongs to one message only.
    pub fn mark_answer(&self, asked: &Mark, status: u16, body: &[u8]) -> Mark {
        Mark(digest(&self.0, &[b"answer", &asked.0, &status.to_be_bytes(), body]))
    }
}

/// What an HMAC gives.
#[derive(Clone, Copy)]
pub struct Mark([u8; 32]);

impl Mark {
    /// As a header carries it.
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Compares with a header, in constant time.
    pub fn is(self, text: &str) -> bool {
        unhex::<32>(text).is_some_and(|other| same(self.0, other))
    }
}

/// HMAC-SHA256 over parts, each with its length before it so that no two lists of parts look alike.
pub(super) fn digest(key: &[u8; BLOCK], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new(GenericArray::from_slice(key));
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Pads a key to a block, as HMAC itself would.
pub(super) fn padded(short: [u8; 32]) -> [u8; BLOCK] {
    let mut key = [0; BLOCK];
    key.iter_mut().zip(short).for_each(|(place, byte)| *place = byte);
    key
}

/// Compares without telling where the first difference is.
pub(super) fn same(a: [u8; 32], b: [u8; 32]) -> bool {
    CtOutput::<Sha256>::new(a.into()) == CtOutput::<Sha256>::new(b.into())
}

/// Lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// Exactly `N` bytes from hex digits.
pub(super) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (place, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| pair.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        *place = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(password: &str) -> PeerKey {
        PeerKey::derive(&SecretString::from(password.to_owned()))
    }

    #[test]
    fn a_mark_covers_every_part() {
        let key = key("secret");
        let mark = key.mark_request("POST", "/peer/release", "00", b"{}").to_hex();
        assert!(key.mark_request("POST", "/peer/release", "00", b"{}").is(&mark));
        for other in [
            key.mark_request("GET", "/peer/release", "00", b"{}"),
            key.mark_request("POST", "/peer/consent", "00", b"{}"),
            key.mark_request("POST", "/peer/release", "01", b"{}"),
            key.mark_request("POST", "/peer/release", "00", b"{} "),
            key.mark_request("POST", "/peer/release0", "0", b"{}"),
            self::key("other").mark_request("POST", "/peer/release", "00", b"{}"),
        ] {
            assert!(!other.is(&mark));
        }
        assert!(!key.mark_request("POST", "/peer/release", "00", b"{}").is("zz"));
        assert!(!format!("{key:?}").contains("secret"));
    }

    #[test]
    fn agrees_with_another_implementation() {
        // As computed with Python's hmac and hashlib.
        let mark = key("secret").mark_request("POST", "/peer/release", "00", b"{}");
        assert!(mark.is("b71a6062d0baae428caa8f6565fdce661544b11c0bae9914c2e5eaa581e2d030"));
    }

    #[test]
    fn hex_both_ways() {
        assert_eq!(hex(&[0, 0xff, 0x1a]), "00ff1a");
        assert_eq!(unhex::<3>("00ff1A"), Some([0, 0xff, 0x1a]));
        assert_eq!(unhex::<3>("00ff1"), None);
        assert_eq!(unhex::<3>("00ff1g"), None);
        assert_eq!(unhex::<1>("+1"), None);
    }
}
