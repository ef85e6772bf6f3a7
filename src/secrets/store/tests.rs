use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Written with the crypto module of Node.js 20, the host's own.
const HOST_FILE: &str = include_str!("host.json");

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with_file(text: &str) -> Self {
        let home = Self::new();
        home.write(text, 0o600);
        home
    }

    fn write(&self, text: &str, mode: u32) {
        fs::write(self.path(), text).unwrap();
        fs::set_permissions(self.path(), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.0.path().join(FILE)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn store(&self, key: Option<&str>) -> Store {
        let keys = KeySources { env: vec![key.map(SecretString::from)], mounted: vec![] };
        Store { home: self.0.path().to_owned(), keys }
    }
}

fn name(text: &str) -> SecretName {
    SecretName::new(text).unwrap()
}

fn get(store: &Store, key: &str) -> Option<String> {
    store.get(&name(key)).unwrap().map(|value| value.expose_secret().to_owned())
}

fn set(store: &Store, key: &str, value: &str) -> Result<bool, StoreError> {
    store.set(&name(key), &SecretString::from(value))
}

#[test]
fn the_host_s_file_is_read() {
    let home = Home::with_file(HOST_FILE);
    let store = home.store(Some(KEY));
    assert_eq!(get(&store, "SIP_PASSWORD").unwrap(), "s3cret pässword");
    assert_eq!(get(&store, "A_KEY").unwrap(), "-----BEGIN X-----\r\nabc\n\0-----END X-----");
    assert_eq!(get(&store, "OLD").unwrap(), "x");
    assert_eq!(get(&store, "SPACED").unwrap(), "padded");
    assert_eq!(get(&store, "EMPTY"), None);
    assert_eq!(get(&store, "NONE"), None);
    let listed = store.list().unwrap();
    let names: Vec<&str> = listed.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["SIP_PASSWORD", "A_KEY", "OLD", "SPACED", "EMPTY"]);
    assert_eq!(listed[0].last_rotated_at.as_deref(), Some("2026-02-03T04:05:06.007Z"));
    assert_eq!(listed[2].created_at, None);
}

#[test]
fn a_change_keeps_order_and_dates_and_renews_every_nonce() {
    let home = Home::with_file(HOST_FILE);
    let store = home.store(Some(KEY));
    assert!(set(&store, "A_KEY", " new\n").unwrap());
    assert!(set(&store, "ZZ", "last").unwrap());
    let (before, after) = (Document::parse(HOST_FILE).unwrap(), Document::parse(&home.text()).unwrap());
    let names: Vec<&String> = after.entries.keys().collect();
    assert_eq!(names, ["SIP_PASSWORD", "A_KEY", "OLD", "SPACED", "EMPTY", "ZZ"]);
    let nonces = |document: &Document| -> Vec<String> {
        let json: serde_json::Value = serde_json::from_str(&document.text()).unwrap();
        json["entries"]
            .as_object()
            .unwrap()
            .values()
            .map(|e| e["nonce"].as_str().unwrap().to_owned())
            .collect()
    };
    let (old, new) = (nonces(&before), nonces(&after));
    assert!(new.iter().all(|nonce| !old.contains(nonce)));
    assert_eq!(new.iter().collect::<std::collections::BTreeSet<_>>().len(), 6);

    let dates = |document: &Document, name: &str| {
        let entry = &document.entries[name];
        (entry.created_at.clone(), entry.last_rotated_at.clone())
    };
    for untouched in ["SIP_PASSWORD", "OLD", "SPACED", "EMPTY"] {
        assert_eq!(dates(&after, untouched), dates(&before, untouched), "{untouched}");
    }
    let (created, rotated) = dates(&after, "A_KEY");
    assert_eq!(created, dates(&before, "A_KEY").0);
    assert!(rotated > dates(&before, "A_KEY").1);
    let (created, rotated) = dates(&after, "ZZ");
    assert!(created.is_some() && created == rotated);
    assert_eq!(
        (get(&store, "A_KEY").unwrap(), get(&store, "SIP_PASSWORD").unwrap()),
        ("new".into(), "s3cret pässword".into())
    );
}

#[test]
fn the_file_has_the_host_s_form() {
    let home = Home::new();
    let store = home.store(None);
    set(&store, "B", "1").unwrap();
    let text = home.text();
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!(&lines[..4], ["{", "  \"version\": 1,", "  \"entries\": {", "    \"B\": {"]);
    for (line, key) in lines[4..9].iter().zip(["alg", "nonce", "ciphertext", "created_at", "last_rotated_at"])
    {
        assert!(line.starts_with(&format!("      \"{key}\": \"")), "{line}");
    }
    assert_eq!(&lines[9..], ["    }", "  }", "}", ""]);
    assert_eq!(fs::metadata(home.path()).unwrap().permissions().mode() & 0o777, 0o600);
    // Nothing temporary is left.
    let mut files: Vec<_> = fs::read_dir(home.0.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["credentials.json", "credentials.master.key"]);
}

#[test]
fn the_same_value_is_no_change() {
    let home = Home::new();
    let store = home.store(Some(KEY));
    assert!(set(&store, "A", "1").unwrap());
    let text = home.text();
    assert!(!set(&store, "A", " 1 ").unwrap());
    assert_eq!(home.text(), text);
}

#[test]
fn an_empty_store_has_no_file() {
    let home = Home::new();
    let store = home.store(Some(KEY));
    assert!(!set(&store, "A", " ").unwrap());
    assert!(!store.remove(&name("A")).unwrap());
    assert!(!home.path().exists());
    set(&store, "A", "1").unwrap();
    set(&store, "B", "1").unwrap();
    assert!(set(&store, "A", "").unwrap());
    assert!(store.remove(&name("B")).unwrap());
    assert!(!home.path().exists() && store.list().unwrap().is_empty());
}

#[test]
fn the_wrong_key_reads_nothing_and_writes_nothing() {
    let home = Home::with_file(HOST_FILE);
    let store = home.store(Some(&"ff".repeat(32)));
    assert!(matches!(store.get(&name("OLD")), Err(StoreError::WrongKey { .. })));
    assert!(matches!(set(&store, "OLD", "1"), Err(StoreError::WrongKey { .. })));
    assert!(matches!(store.remove(&name("OLD")), Err(StoreError::WrongKey { .. })));
    let none = home.store(None);
    assert!(matches!(set(&none, "OLD", "1"), Err(StoreError::NoKey { .. })));
    assert!(matches!(none.init(), Err(StoreError::NoKey { .. })));
    assert_eq!(home.text(), HOST_FILE);
    assert_eq!(fs::read_dir(home.0.path()).unwrap().count(), 1);
}

#[test]
fn a_damaged_entry_can_only_be_removed() {
    let damaged = HOST_FILE.replace("y9mOXxW+", "y9mOXxW/");
    let home = Home::with_file(&damaged);
    let store = home.store(Some(KEY));
    assert_eq!(get(&store, "SPACED").unwrap(), "padded");
    assert!(matches!(set(&store, "SPACED", "1"), Err(StoreError::WrongKey { name }) if name == "OLD"));
    assert!(matches!(set(&store, "OLD", "1"), Err(StoreError::WrongKey { name }) if name == "OLD"));
    assert!(store.remove(&name("OLD")).unwrap());
    assert!(set(&store, "SPACED", "1").unwrap());
}

#[test]
fn an_entry_does_not_decrypt_under_another_name() {
    let home = Home::with_file(&HOST_FILE.replace("\"OLD\"", "\"NEW\""));
    assert!(matches!(home.store(Some(KEY)).get(&name("NEW")), Err(StoreError::WrongKey { .. })));
}

#[test]
fn what_the_host_would_not_read_is_not_written_over() {
    let cases = [
        ("", ""),
        ("{}", ""),
        ("null", ""),
        ("\"version\": 1", "\"version\": 2"),
        ("\"SIP_PASSWORD\"", "\"sip_password\""),
        ("\"EBESExQVFhcYGRob\"", "\"EBESExQVFhcYGRo=\""),
        ("\"EBESExQVFhcYGRob\"", "\"EBESExQVFhcYGRobAA\""),
        ("\"EBESExQVFhcYGRob\"", "5"),
        ("xSgOLi9ukKIdbohXyEkxTg==", "xSgOLi9ukKIdbohXyEkxTg"),
        ("xSgOLi9ukKIdbohXyEkxTg==", "xSgOLi9ukKIdbohXyEkxT==="),
        ("xSgOLi9ukKIdbohXyEkxTg==", "xSgOLi9ukKIdbohX-EkxTg=="),
        ("xSgOLi9ukKIdbohXyEkxTg==", "xSgOLi9ukKIdbohXyEkx"),
        ("\"aes-256-gcm\"", "\"aes-128-gcm\""),
        ("\"version\": 1,\n", "\"version\": 1\n"),
    ];
    for (from, to) in cases {
        let text = if to.is_empty() { from.to_owned() } else { HOST_FILE.replacen(from, to, 1) };
        assert_ne!(text, HOST_FILE);
        let home = Home::with_file(&text);
        let store = home.store(Some(KEY));
        for result in
            [store.get(&name("OLD")).map(drop), set(&store, "OLD", "1").map(drop), store.list().map(drop)]
        {
            assert!(matches!(result, Err(StoreError::Invalid { .. })), "{from} {to}: {result:?}");
        }
        assert_eq!(home.text(), text);
    }
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let home = Home::with_file(HOST_FILE);
    home.write(HOST_FILE, 0o644);
    let store = home.store(Some(KEY));
    assert!(matches!(store.get(&name("OLD")), Err(StoreError::TooOpen { mode: 0o644, .. })));
    assert!(matches!(set(&store, "OLD", "1"), Err(StoreError::TooOpen { .. })));
}

#[test]
fn init_makes_a_key_once() {
    let home = Home::new();
    let store = Store { home: home.0.path().join("a/b"), ..home.store(None) };
    assert!(store.init().unwrap());
    assert!(!store.init().unwrap());
    assert_eq!(fs::metadata(store.home()).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!home.store(Some(KEY)).init().unwrap());
    set(&store, "A", "1").unwrap();
    assert_eq!(get(&store, "A").unwrap(), "1");
}

#[test]
fn rotation_needs_an_entry_and_import_is_one_step() {
    let home = Home::new();
    let store = home.store(Some(KEY));
    let rotate = |value: &str| store.rotate(&name("A"), &SecretString::from(value));
    assert!(matches!(rotate("1"), Err(StoreError::Missing { .. })));
    let secrets = [("A", "1"), ("B", "2"), ("A", "3"), ("C", ""), ("B", "2")];
    let secrets = secrets.map(|(n, value)| (name(n), SecretString::from(value)));
    assert_eq!(store.import(secrets).unwrap(), 3);
    assert_eq!((get(&store, "A").unwrap(), get(&store, "B").unwrap()), ("3".into(), "2".into()));
    assert!(rotate("4").unwrap());
    assert_eq!(get(&store, "A").unwrap(), "4");
}

#[test]
fn nothing_shows_a_value_or_the_key() {
    let home = Home::new();
    let store = home.store(Some("marker passphrase"));
    set(&store, "A", "marker-value").unwrap();
    home.write(&home.text().replace("\"version\": 1", "\"version\": \"marker-version\""), 0o600);
    let errors =
        [format!("{:?}", store.get(&name("A"))), format!("{store:?}"), format!("{:?}", store.list())];
    assert!(errors.iter().all(|shown| !shown.contains("marker")), "{errors:?}");
    assert!(!home.text().contains("marker-value"));
}
