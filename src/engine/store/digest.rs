//! The digest that names content: SHA-256, always written with its algorithm (`sha256:...`).

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{AtPath, Error, Result};
use crate::regular_file;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }

    /// Reads the file once, in pieces, so memory does not grow with its size. A file that is not
    /// regular is an error, because it may never end.
    pub fn of_file(path: &Path) -> Result<Self> {
        let mut file = regular_file::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            let count = file.read(&mut buffer).at_path("read", path)?;
            if count == 0 {
                return Ok(Digest(hasher.finalize().into()));
            }
            hasher.update(&buffer[..count]);
        }
    }

    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// The 64 hexadecimal digits without the algorithm: a file name.
    pub fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.0
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|digit| char::from(DIGITS[usize::from(digit)]))
            .collect()
    }

    /// Its first digits: enough for a person to tell two apart.
    pub fn short(&self) -> String {
        self.hex()[..12].to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let malformed = || {
            let beginning: String = text.chars().take(80).collect();
            Error::failure(format!(
                "{beginning:?} is not a digest of the form sha256:<64 hexadecimal digits, letters \
                 small>"
            ))
        };
        let hex = text.strip_prefix("sha256:").ok_or_else(malformed)?;
        if hex.len() != 64 {
            return Err(malformed());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let [high, low] = [pair[0], pair[1]].map(digit);
            *byte = high.zip(low).map(|(high, low)| (high << 4) | low).ok_or_else(malformed)?;
        }
        Ok(Digest(bytes))
    }
}

/// The value of a hexadecimal digit. Only small letters are accepted, so that two texts (and two
/// names of files) never mean the same digest.
fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_as_it_is_written() {
        let digest = Digest::of_bytes(b"abc");
        assert_eq!(
            digest.to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
    }

    #[test]
    fn text_that_is_no_digest_is_refused() {
        let of = |pair: &str| format!("sha256:{}", pair.repeat(32));
        for text in
            ["", "sha256:", "sha256:zz", "md5:00", &of("é"), &of("+f"), &of("AB"), &of("0g")]
        {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
