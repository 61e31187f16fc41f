//! Users whose passcodes are kept as hashes (PBKDF2 with HMAC-SHA-256, RFC 8018), and the command that makes one.

use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use dokuei_dimse::Users;
use pbkdf2::pbkdf2_hmac;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::args::User;
use crate::outcome::{Failure, line};

/// What the first field of a hash has to be.
const KIND: &str = "pbkdf2-sha256";
/// Rounds of a hash that is made here: some tenths of a second for who tries passcodes.
const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(599_999);

type Hash = [u8; 32];

/// A passcode that cannot be read back: `pbkdf2-sha256:ROUNDS:SALT:HASH`, the last two in hexadecimal.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(crate) struct PasscodeHash {
    rounds: NonZeroU32,
    salt: Vec<u8>,
    hash: Hash,
}

impl PasscodeHash {
    fn new(passcode: &[u8], salt: &[u8], rounds: NonZeroU32) -> Self {
        let mut hash = Hash::default();
        pbkdf2_hmac::<Sha256>(passcode, salt, rounds.get(), &mut hash);
        Self { rounds, salt: salt.to_vec(), hash }
    }

    /// A digest that takes no time, for what was found to fit.
    fn quick(&self, passcode: &[u8]) -> Hash {
        Sha256::new().chain_update(&self.salt).chain_update(passcode).finalize().into()
    }

    fn fits(&self, passcode: &[u8]) -> bool {
        same(&Self::new(passcode, &self.salt, self.rounds).hash, &self.hash)
    }
}

impl fmt::Display for PasscodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND}:{}:{}:{}", self.rounds, hex(&self.salt), hex(&self.hash))
    }
}

/// Not even the hash goes to a log.
impl fmt::Debug for PasscodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KIND)
    }
}

impl TryFrom<toml::Value> for PasscodeHash {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        let read = || {
            let fields: Vec<&str> = value.as_str()?.split(':').collect();
            let [KIND, rounds, salt, hash] = fields.as_slice() else { return None };
            let salt = bytes(salt).filter(|salt| !salt.is_empty())?;
            Some(Self { rounds: rounds.parse().ok()?, salt, hash: bytes(hash)?.try_into().ok()? })
        };
        // The value may be a passcode, so it is not repeated.
        read().ok_or_else(|| format!("not a passcode's hash; `dokuei user NAME` makes one, {KIND}:ROUNDS:SALT:HASH"))
    }
}

/// The users of a configuration.
#[derive(Debug)]
pub(crate) struct KnownUsers {
    users: HashMap<String, Option<PasscodeHash>>,
    /// The last passcode that fitted, by user, as a plain digest that never leaves memory: a sender that associates
    /// for every image is not to pay for the rounds each time.
    recent: Mutex<HashMap<String, Hash>>,
}

impl KnownUsers {
    /// `None` for no users: then everybody may associate who may otherwise.
    pub(crate) fn of(users: HashMap<String, Option<PasscodeHash>>) -> Option<Self> {
        (!users.is_empty()).then(|| Self { users, recent: Mutex::default() })
    }

    fn fitted_before(&self, name: &str, digest: &Hash) -> bool {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get(name).is_some_and(|known| same(known, digest))
    }

    fn fits(&self, name: &str, hash: &PasscodeHash, passcode: &[u8]) -> bool {
        let digest = hash.quick(passcode);
        if self.fitted_before(name, &digest) {
            return true;
        }
        let fits = hash.fits(passcode);
        if fits {
            self.recent.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), digest);
        }
        fits
    }
}

impl Users for KnownUsers {
    fn recognizes(&self, name: &str, passcode: Option<&[u8]>) -> bool {
        match (self.users.get(name), passcode) {
            (None, Some(passcode)) => {
                // Takes as long as a user that there is, so that nobody learns which there are.
                if let Some(any) = self.users.values().flatten().next() {
                    std::hint::black_box(any.fits(passcode));
                }
                false
            }
            (None | Some(Some(_)), None) => false,
            (Some(None), _) => true,
            (Some(Some(hash)), Some(passcode)) => self.fits(name, hash, passcode),
        }
    }

    fn is_quick(&self, name: &str, passcode: &[u8]) -> bool {
        match self.users.get(name) {
            Some(Some(hash)) => self.fitted_before(name, &hash.quick(passcode)),
            Some(None) => true,
            None => self.users.values().flatten().next().is_none(),
        }
    }
}

/// `dokuei user`: the entry of one user.
pub(crate) fn run(arguments: &User) -> Result<(), Failure> {
    let mut passcode = String::new();
    std::io::stdin().lock().read_line(&mut passcode).map_err(|error| Failure::because("read the passcode", &error))?;
    let passcode = passcode.trim_end_matches(['\r', '\n']);
    if passcode.is_empty() {
        return Err(Failure::work("no passcode on standard input").help("echo it into this command, or type it"));
    }
    let hash = PasscodeHash::new(passcode.as_bytes(), uuid::Uuid::new_v4().as_bytes(), ROUNDS);
    line(format!("[[user]]\nname = {}\npasscode = \"{hash}\"", toml::Value::from(arguments.name.as_str())));
    Ok(())
}

/// Compares without telling by the time it takes where two hashes differ.
fn same(one: &Hash, other: &Hash) -> bool {
    one.iter().zip(other).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = hex
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

    fn known(users: &[(&str, Option<&str>)]) -> KnownUsers {
        let hash = |passcode: &str| PasscodeHash::new(passcode.as_bytes(), b"salt", FEW);
        let users = users.iter().map(|(name, passcode)| ((*name).to_owned(), passcode.map(hash)));
        KnownUsers::of(users.collect()).unwrap()
    }

    /// RFC 7914 § 11 publishes these for one round and for 80000.
    #[test]
    fn hashes_are_those_of_the_published_vectors() {
        let text = "pbkdf2-sha256:1:73616c74:55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc";
        let hash = PasscodeHash::try_from(toml::Value::from(text)).unwrap();
        assert!(hash.fits(b"passwd") && !hash.fits(b"Passwd"));
        let many = PasscodeHash::new(b"Password", b"NaCl", NonZeroU32::new(80_000).unwrap());
        assert!(many.to_string().ends_with(":4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"));
        assert_eq!(PasscodeHash::try_from(toml::Value::from(many.to_string())), Ok(many));
    }

    #[test]
    fn a_user_needs_the_passcode_it_has() {
        let users = known(&[("Jo", Some("sesame")), ("Open", None)]);
        for _first_and_again in 0..2 {
            assert!(users.recognizes("Jo", Some(b"sesame")));
            assert!(!users.recognizes("Jo", Some(b"simsim")));
            assert!(!users.recognizes("Jo", None));
            assert!(users.recognizes("Open", None) && users.recognizes("Open", Some(b"any")));
            assert!(!users.recognizes("jo", Some(b"sesame")) && !users.recognizes("", None));
        }
        assert!(KnownUsers::of(HashMap::new()).is_none());
    }

    #[test]
    fn what_fitted_once_fits_again_for_that_user_alone() {
        let users = known(&[("Jo", Some("sesame")), ("Al", Some("simsim"))]);
        assert!(users.recognizes("Jo", Some(b"sesame")));
        let digest = users.recent.lock().unwrap()["Jo"];
        assert!(users.fitted_before("Jo", &digest) && !users.fitted_before("Al", &digest));
        assert!(!users.recognizes("Al", Some(b"sesame")));
    }

    #[test]
    fn what_is_no_hash_is_refused_and_not_repeated() {
        let hash = "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc";
        for text in [
            "secret".to_owned(),
            format!("pbkdf2-sha256:0:73616c74:{hash}"),
            format!("pbkdf2-sha256:1::{hash}"),
            format!("pbkdf2-sha256:1:73616c7:{hash}"),
            format!("pbkdf2-sha1:1:73616c74:{hash}"),
            "pbkdf2-sha256:1:73616c74:55ac".to_owned(),
            format!("pbkdf2-sha256:1:73é16c74:{hash}"),
        ] {
            let error = PasscodeHash::try_from(toml::Value::from(text.as_str())).unwrap_err();
            assert!(error.contains("dokuei user") && !error.contains(&text), "{text}");
        }
        assert_eq!(format!("{:?}", known(&[("Jo", Some("x"))]).users["Jo"]), "Some(pbkdf2-sha256)");
    }
}
