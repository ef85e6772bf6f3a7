//! Our answer to a challenge (RFC 3261 section 22, RFC 7616): whether user and password are right shows without a call.

use openssl::hash::{MessageDigest, hash};

use super::response::Response;

/// Who we are.
pub(super) struct Credentials<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a str,
}

impl Credentials<'_> {
    /// The header field, name and value, that answers a response's first challenge with an algorithm that is known here;
    /// `None` if there is no such challenge.
    pub(super) fn answer(
        &self,
        challenge: &Response,
        method: &str,
        uri: &str,
    ) -> Option<(&'static str, String)> {
        self.answer_with(challenge, method, uri, &format!("{:016x}", rand::random::<u64>()))
    }

    fn answer_with(
        &self,
        challenge: &Response,
        method: &str,
        uri: &str,
        cnonce: &str,
    ) -> Option<(&'static str, String)> {
        let fields = [("www-authenticate", "Authorization"), ("proxy-authenticate", "Proxy-Authorization")];
        let mut known = fields.iter().flat_map(|&(asks, answers)| {
            challenge.all(asks).filter_map(move |value| Some((answers, Challenge::parse(value)?)))
        });
        let (name, challenge) = known.next()?;
        Some((name, challenge.answer(self, method, uri, cnonce)?))
    }
}

struct Challenge<'a> {
    realm: &'a str,
    nonce: &'a str,
    opaque: Option<&'a str>,
    /// As the challenge names it, if it does.
    algorithm: Option<&'a str>,
    digest: MessageDigest,
    /// Whether the server knows `qop=auth`; those of RFC 2069 know none.
    auth: bool,
}

impl<'a> Challenge<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(' ')?;
        let parameters = parameters(rest);
        let find = |name: &str| {
            let found = parameters.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
            found.map(|(_, value)| *value)
        };
        let algorithm = find("algorithm");
        let digest = match algorithm.map(str::to_ascii_uppercase).as_deref() {
            None | Some("MD5") => MessageDigest::md5(),
            Some("SHA-256") => MessageDigest::sha256(),
            Some(_) => return None,
        };
        let auth = find("qop").map(|qop| qop.split(',').any(|word| word.trim().eq_ignore_ascii_case("auth")));
        if !scheme.eq_ignore_ascii_case("Digest") || auth == Some(false) {
            return None;
        }
        let (realm, nonce) = (find("realm")?, find("nonce")?);
        Some(Self { realm, nonce, opaque: find("opaque"), algorithm, digest, auth: auth.is_some() })
    }

    fn answer(&self, own: &Credentials<'_>, method: &str, uri: &str, cnonce: &str) -> Option<String> {
        const COUNT: &str = "00000001";
        let digest = |text: String| -> Option<String> {
            Some(hash(self.digest, text.as_bytes()).ok()?.iter().map(|byte| format!("{byte:02x}")).collect())
        };
        let (user, realm, nonce) = (own.user, self.realm, self.nonce);
        let who = digest(format!("{user}:{realm}:{}", own.password))?;
        let what = digest(format!("{method}:{uri}"))?;
        let response = match self.auth {
            true => digest(format!("{who}:{nonce}:{COUNT}:{cnonce}:auth:{what}"))?,
            false => digest(format!("{who}:{nonce}:{what}"))?,
        };
        let mut text = format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\""
        );
        let mut also = |name: &str, value: &str| text.push_str(&format!(", {name}={value}"));
        if let Some(algorithm) = self.algorithm {
            also("algorithm", algorithm);
        }
        if let Some(opaque) = self.opaque {
            also("opaque", &format!("\"{opaque}\""));
        }
        if self.auth {
            also("qop", "auth");
            also("nc", COUNT);
            also("cnonce", &format!("\"{cnonce}\""));
        }
        Some(text)
    }
}

/// `name=value, name="value, with a comma"`, in order.
fn parameters(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, tail) = match after.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
            Some((value, tail)) => (value, tail.split_once(',').map_or("", |(_, tail)| tail)),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.push((name.trim(), value.trim()));
        rest = tail;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(challenge: &str) -> Option<(&'static str, String)> {
        let text = format!("SIP/2.0 401 Unauthorized\r\n{challenge}\r\n\r\n");
        let own = Credentials { user: "Mufasa", password: "Circle of Life" };
        let response = Response::parse(text.as_bytes()).unwrap();
        own.answer_with(&response, "GET", "/dir/index.html", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    }

    /// The examples of RFC 7616 section 3.9.1.
    #[test]
    fn the_examples_of_the_standard() {
        let challenge = |algorithm: &str| {
            format!(
                "WWW-Authenticate: Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            )
        };
        let own = |algorithm| {
            let text = format!("SIP/2.0 401 U\r\n{}\r\n\r\n", challenge(algorithm));
            let own = Credentials { user: "Mufasa", password: "Circle of Life" };
            let response = Response::parse(text.as_bytes()).unwrap();
            own.answer_with(
                &response,
                "GET",
                "/dir/index.html",
                "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            )
        };
        for (algorithm, expected) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let (name, value) = own(algorithm).unwrap();
            assert_eq!(name, "Authorization");
            assert!(value.contains(&format!("response=\"{expected}\"")), "{value}");
            assert!(value.contains("opaque=\"FQhe/") && value.contains("qop=auth, nc=00000001"), "{value}");
        }
    }

    #[test]
    fn the_first_challenge_that_is_known_is_answered() {
        let strange = "WWW-Authenticate: Digest realm=\"a\", nonce=\"n\", algorithm=SHA-512-256";
        let old = "Proxy-Authenticate: Digest realm=\"a, b\",nonce=\"n\"";
        let (name, value) = answer(&format!("{strange}\r\n{old}")).unwrap();
        assert_eq!(name, "Proxy-Authorization");
        assert!(value.contains("realm=\"a, b\"") && !value.contains("qop"), "{value}");
        assert_eq!(answer(strange), None);
        assert_eq!(answer("WWW-Authenticate: Basic realm=\"a\""), None);
    }
}
