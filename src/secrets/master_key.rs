use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::StoreError;
use super::source::{self, Modes};
use crate::ecma;

/// The salt of the host's derivation. The same passphrase must give the same key there.
const SALT: &[u8] = b"hybridclaw-master-key-v1";

/// The file of the key inside the store's folder.
const KEY_FILE: &str = "credentials.master.key";

/// The key that the store is encrypted with. It is wiped from memory when it is dropped.
pub(super) struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads a key text as the host does: 64 hexadecimal digits, else base64 of exactly 32 bytes, else a passphrase
    /// for scrypt. There is no text that is not a key.
    pub(super) fn from_text(text: &str) -> Self {
        let text = ecma::trim(text);
        hex(text).or_else(|| lenient_base64(text)).unwrap_or_else(|| derive(text))
    }
}

fn hex(text: &str) -> Option<MasterKey> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(MasterKey(key))
}

/// Base64 as Node.js reads it: both alphabets, up to the first `=`, without everything that is in neither. It looks
/// at the low byte of each UTF-16 unit only, so U+0141 counts as `A`, and so it does here.
fn lenient_base64(text: &str) -> Option<MasterKey> {
    const LOOSE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
    );
    let mut digits = Zeroizing::new(Vec::with_capacity(text.len()));
    digits.extend(
        text.encode_utf16().map(|unit| unit.to_le_bytes()[0]).take_while(|b| *b != b'=').filter_map(|b| {
            match b {
                b'-' => Some(b'+'),
                b'_' => Some(b'/'),
                b if b.is_ascii_alphanumeric() || b == b'+' || b == b'/' => Some(b),
                _ => None,
            }
        }),
    );
    // A single digit left over holds no whole byte.
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    let bytes = Zeroizing::new(LOOSE.decode(&*digits).ok()?);
    Some(MasterKey(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
}

fn derive(passphrase: &str) -> MasterKey {
    let mut key = Zeroizing::new([0; 32]);
    // 16 MB and some 50 ms, N = 2^14.
    let params = scrypt::Params::new(14, 8, 1).expect("the host's parameters are valid ones");
    scrypt::scrypt(passphrase.as_bytes(), SALT, &params, &mut *key).expect("32 bytes are a valid length");
    MasterKey(key)
}

/// Where the key is looked for, in this order.
#[derive(Debug, Clone)]
pub(super) struct KeySources {
    /// Values from the environment; blank ones count as unset.
    pub(super) env: Vec<Option<SecretString>>,
    /// Files that a container's runtime provides, with whatever mode it gives them.
    pub(super) mounted: Vec<PathBuf>,
}

impl KeySources {
    /// Those of the process: our own names first, then the host's.
    pub(super) fn of_process() -> Self {
        let env = |name| std::env::var(name).ok().map(SecretString::from);
        Self {
            env: vec![env("OUTDIAL_MASTER_KEY"), env("HYBRIDCLAW_MASTER_KEY")],
            mounted: vec![
                "/run/secrets/outdial_master_key".into(),
                "/run/secrets/hybridclaw_master_key".into(),
            ],
        }
    }

    /// Finds the key for a store. A source that is missing, unreadable or blank falls through to the next; a key
    /// file of the store's own that others can read is refused.
    pub(super) fn find(&self, home: &Path) -> Result<Option<MasterKey>, StoreError> {
        let texts = self.env.iter().flatten().map(|text| text.expose_secret().to_owned());
        let mounted = self.mounted.iter().filter_map(|path| fs::read_to_string(path).ok());
        for text in texts.chain(mounted).map(Zeroizing::new) {
            if !ecma::trim(&text).is_empty() {
                return Ok(Some(MasterKey::from_text(&text)));
            }
        }
        let path = home.join(KEY_FILE);
        match source::read(&path, Modes::OwnerOnly) {
            Ok(text) if ecma::trim(&text).is_empty() => Ok(None),
            Ok(text) => Ok(Some(MasterKey::from_text(&text))),
            Err(source::ReadError::TooOpen { path, mode }) => Err(StoreError::TooOpen { path, mode }),
            Err(_) => Ok(None),
        }
    }

    /// Makes a new key and writes it into the store's folder, unless a file with content is there.
    pub(super) fn create(home: &Path) -> Result<MasterKey, StoreError> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *key).map_err(|e| StoreError::write(home, std::io::Error::other(e)))?;
        let text = Zeroizing::new(STANDARD.encode(*key) + "\n");
        source::replace(&home.join(KEY_FILE), text.as_bytes()).map_err(|e| StoreError::write(home, e))?;
        Ok(MasterKey(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn hex_of(key: &MasterKey) -> String {
        key.bytes().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Computed with the crypto module of Node.js 20, the host's own.
    #[test]
    fn key_texts_give_the_host_s_keys() {
        let counted = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let cases = [
            (counted, counted),
            (" 000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F\n", counted),
            ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", counted),
            ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", counted),
            ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9", counted),
            ("AAECAwQF BgcICQoL\nDA0ODxAR!EhMUFRYX.GBkaGxwdHh8=garbage", counted),
            ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\u{1f600}A", counted),
            ("\u{141}AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", counted),
            (
                "__z59vPw7ern5OHe29jV0s_MycbDwL26t7SxrquopaI",
                "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a2",
            ),
            (
                "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A",
                "37bd7b6c5feb1dc2ddaf1c04c628b34f111a2d7a0c8927b07c9e5ace7ccb4688",
            ),
            (
                "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1",
                "b13cf81073f6e6ede4b2c17de1bc728ced9e6fab69e3d70296990c5dc39e43f1",
            ),
            (
                "correct horse battery staple",
                "5fcd52116f0364bb50fff79bc325b213c9b7ac284980a8a7a8996a1149d67c83",
            ),
            (
                "\u{feff} Pässwörter \u{3000}",
                "f288ef79e4da0187bf38209ba9876b1e1d056123695aad943f3e0697de629b69",
            ),
            ("Pa\u{308}sswo\u{308}rter", "57efd659297bc3b3f307d87160af4b4a4e6dce1fe0a4c3a2c9a22ada38872605"),
            ("\u{85}key", "f078f60546560adf8cd9c1c6ac739d4a2614bb3c53cfb38c5e89cc2e42e738b7"),
        ];
        for (text, expected) in cases {
            assert_eq!(hex_of(&MasterKey::from_text(text)), expected, "{text:?}");
        }
    }

    #[test]
    fn sources_are_tried_in_order_and_blank_ones_fall_through() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let secret = |text: &str| Some(SecretString::from(text));
        let found = |env: Vec<Option<SecretString>>, mounted: Vec<PathBuf>| {
            KeySources { env, mounted }.find(home).unwrap().map(|key| key.bytes()[0])
        };
        let key = |byte: u8| format!("{byte:02x}").repeat(32);
        let mounted = home.join("mounted");
        assert_eq!(found(vec![None, secret(" ")], vec![mounted.clone()]), None);

        let own = KeySources::create(home).unwrap();
        let own = Some(own.bytes()[0]);
        assert_eq!(found(vec![secret("\u{feff}\n")], vec![mounted.clone()]), own);
        fs::write(&mounted, " \n").unwrap();
        assert_eq!(found(vec![], vec![mounted.clone()]), own);
        fs::write(&mounted, key(7)).unwrap();
        assert_eq!(found(vec![], vec![mounted.clone()]), Some(7));
        assert_eq!(found(vec![None, secret(&key(9))], vec![mounted.clone()]), Some(9));
        assert_eq!(found(vec![secret(&key(8)), secret(&key(9))], vec![mounted]), Some(8));
    }

    #[test]
    fn a_new_key_file_is_the_owner_s_and_an_open_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let none = KeySources { env: vec![], mounted: vec![] };
        let made = KeySources::create(folder.path()).unwrap();
        let path = folder.path().join(KEY_FILE);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!((text.len(), text.ends_with("=\n")), (45, true));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(none.find(folder.path()).unwrap().unwrap().bytes(), made.bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(none.find(folder.path()), Err(StoreError::TooOpen { mode: 0o640, .. })));
    }
}
