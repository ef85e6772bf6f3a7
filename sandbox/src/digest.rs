//! Digest access authentication, the server's side (RFC 3261 section 22, RFC 8760).

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::sip::header::{Params, digest_params};
use crate::sip::token;

/// Nonces remembered; older ones are treated as stale.
const MAX_NONCES: usize = 4096;

/// A hash that the sandbox offers in its challenges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// MD5, which every SIP device knows.
    Md5,
    /// SHA-256 (RFC 8760).
    Sha256,
}

impl DigestAlgorithm {
    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What became of a request's credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The named user has proved the password.
    Accepted { user: String, algorithm: DigestAlgorithm },
    /// There were none for this realm.
    Missing,
    /// Right password, but the nonce is unknown, too old or was replayed.
    Stale,
    /// Unknown user, wrong password or a malformed header.
    Refused(&'static str),
    /// All is right, but the challenge was for another Call-ID.
    OtherCall,
}

struct Nonce {
    issued: Instant,
    highest_count: u32,
    call_id: String,
}

/// The nonces issued and the rules for them.
pub(crate) struct Authenticator {
    pub(crate) realm: String,
    pub(crate) algorithms: Vec<DigestAlgorithm>,
    pub(crate) lifetime: Duration,
    /// Whether credentials count only with the Call-ID that was challenged.
    pub(crate) same_call_id: bool,
    nonces: HashMap<String, Nonce>,
}

impl Authenticator {
    pub(crate) fn new(realm: String, algorithms: Vec<DigestAlgorithm>, lifetime: Duration) -> Self {
        Self { realm, algorithms, lifetime, same_call_id: false, nonces: HashMap::new() }
    }

    /// One header value per algorithm, strongest first, all with one fresh nonce.
    pub(crate) fn challenges(&mut self, now: Instant, call_id: &str, stale: bool) -> Vec<String> {
        if self.nonces.len() >= MAX_NONCES {
            let lifetime = self.lifetime;
            self.nonces.retain(|_, nonce| now.duration_since(nonce.issued) < lifetime);
            if self.nonces.len() >= MAX_NONCES {
                self.nonces.clear();
            }
        }
        let nonce = format!("{}{}", token(), token());
        self.nonces
            .insert(nonce.clone(), Nonce { issued: now, highest_count: 0, call_id: call_id.to_owned() });
        let stale = if stale { ", stale=true" } else { "" };
        let challenge = |algorithm: &DigestAlgorithm| {
            format!(
                "Digest realm=\"{}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}",
                self.realm
            )
        };
        self.algorithms.iter().map(challenge).collect()
    }

    /// Checks the Authorization or Proxy-Authorization values of a request.
    ///
    /// `password` looks up a user. The nonce count must grow with every use of a nonce.
    pub(crate) fn verify<'p>(
        &mut self,
        now: Instant,
        method: &str,
        call_id: &str,
        credentials: &[&str],
        password: impl Fn(&str) -> Option<&'p str>,
    ) -> Verdict {
        let ours = credentials
            .iter()
            .filter_map(|value| digest_params(value))
            .find(|params| params.get("realm") == Some(self.realm.as_str()));
        let Some(params) = ours else { return Verdict::Missing };
        let Some(user) = params.get("username") else { return Verdict::Refused("no username") };
        let Some(password) = password(user) else { return Verdict::Refused("unknown user") };
        let Some(algorithm) = self.algorithm(&params) else {
            return Verdict::Refused("algorithm not offered");
        };
        match expected(algorithm, method, user, &self.realm, password, &params) {
            None => return Verdict::Refused("malformed credentials"),
            Some(expected) if params.get("response") != Some(&expected) => {
                return Verdict::Refused("wrong password");
            }
            Some(_) => {}
        }
        let count = params.get("nc").and_then(|count| u32::from_str_radix(count, 16).ok());
        let nonce = params.get("nonce").and_then(|nonce| self.nonces.get_mut(nonce));
        let (Some(nonce), Some(count)) = (nonce, count) else { return Verdict::Stale };
        if now.duration_since(nonce.issued) >= self.lifetime || count <= nonce.highest_count {
            return Verdict::Stale;
        }
        if self.same_call_id && nonce.call_id != call_id {
            return Verdict::OtherCall;
        }
        nonce.highest_count = count;
        Verdict::Accepted { user: user.to_owned(), algorithm }
    }

    fn algorithm(&self, params: &Params) -> Option<DigestAlgorithm> {
        let named = params.get("algorithm").unwrap_or("MD5");
        self.algorithms.iter().copied().find(|algorithm| algorithm.to_string().eq_ignore_ascii_case(named))
    }
}

/// The response that the right password gives (RFC 7616 section 3.4.1, qop=auth only).
fn expected(
    algorithm: DigestAlgorithm,
    method: &str,
    user: &str,
    realm: &str,
    password: &str,
    params: &Params,
) -> Option<String> {
    if params.get("qop") != Some("auth") {
        return None;
    }
    let (uri, nonce) = (params.get("uri")?, params.get("nonce")?);
    let (count, cnonce) = (params.get("nc")?, params.get("cnonce")?);
    let secret = algorithm.hash(&format!("{user}:{realm}:{password}"));
    let request = algorithm.hash(&format!("{method}:{uri}"));
    Some(algorithm.hash(&format!("{secret}:{nonce}:{count}:{cnonce}:auth:{request}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authenticator() -> Authenticator {
        let algorithms = vec![DigestAlgorithm::Sha256, DigestAlgorithm::Md5];
        Authenticator::new("sandbox".to_owned(), algorithms, Duration::from_secs(60))
    }

    fn answer(challenge: &str, password: &str, count: u32) -> String {
        let params = digest_params(challenge).unwrap();
        let (nonce, algorithm) = (params.get("nonce").unwrap(), params.get("algorithm").unwrap());
        let partial = format!(
            "Digest username=\"u\", realm=\"sandbox\", nonce=\"{nonce}\", uri=\"sip:h\", qop=auth, \
             nc={count:08x}, cnonce=\"c\", algorithm={algorithm}"
        );
        let chosen = if algorithm == "MD5" { DigestAlgorithm::Md5 } else { DigestAlgorithm::Sha256 };
        let own = digest_params(&partial).unwrap();
        let response = expected(chosen, "REGISTER", "u", "sandbox", password, &own).unwrap();
        format!("{partial}, response=\"{response}\"")
    }

    fn check(server: &mut Authenticator, now: Instant, header: &str) -> Verdict {
        server.verify(now, "REGISTER", "id", &[header], |user| (user == "u").then_some("p"))
    }

    #[test]
    fn the_example_of_rfc_7616() {
        let header = "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
            nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
            cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth";
        let params = digest_params(header).unwrap();
        let response = |algorithm| {
            let realm = "http-auth@example.org";
            expected(algorithm, "GET", "Mufasa", realm, "Circle of Life", &params).unwrap()
        };
        assert_eq!(response(DigestAlgorithm::Md5), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(
            response(DigestAlgorithm::Sha256),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    #[test]
    fn right_wrong_stale_and_replayed() {
        let (mut server, now) = (authenticator(), Instant::now());
        // Both algorithms share the nonce and its count, so the second round counts on.
        for (count, challenge) in (1..).zip(server.challenges(now, "id", false)) {
            let good = answer(&challenge, "p", count);
            let bad = answer(&challenge, "x", count);
            assert_eq!(check(&mut server, now, &bad), Verdict::Refused("wrong password"));
            assert!(matches!(check(&mut server, now, &good), Verdict::Accepted { user, .. } if user == "u"));
            assert_eq!(check(&mut server, now, &good), Verdict::Stale, "a replay");
        }
        let challenge = server.challenges(now, "id", true).remove(0);
        assert!(challenge.ends_with("stale=true"));
        let later = now + Duration::from_secs(61);
        assert_eq!(check(&mut server, later, &answer(&challenge, "p", 1)), Verdict::Stale);
    }

    #[test]
    fn other_realms_and_users() {
        let (mut server, now) = (authenticator(), Instant::now());
        let header = "Digest username=\"u\", realm=\"elsewhere\", nonce=\"n\"";
        assert_eq!(check(&mut server, now, header), Verdict::Missing);
        let header = "Digest username=\"nobody\", realm=\"sandbox\", nonce=\"n\"";
        assert_eq!(check(&mut server, now, header), Verdict::Refused("unknown user"));
        let header = "Digest username=\"u\", realm=\"sandbox\", nonce=\"n\"";
        assert_eq!(check(&mut server, now, header), Verdict::Refused("malformed credentials"));
    }
}
