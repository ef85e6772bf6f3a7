//! Twilio's signature of the requests that it makes to us (X-Twilio-Signature).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;

/// Whether a request that came to `url` with these form fields was signed with the account's token.
///
/// The signature is the base64 of HMAC-SHA1 over the address as Twilio knows it, followed by name and value of each
/// field in the order of the names. Twilio signs some addresses with the scheme's own port and some without; either is
/// accepted. The comparison takes the same time wherever the difference is.
pub(super) fn is_genuine(
    auth_token: &SecretString,
    url: &str,
    fields: &[(String, String)],
    signature: &str,
) -> bool {
    let Ok(signature) = STANDARD.decode(signature) else { return false };
    let mut fields: Vec<&(String, String)> = fields.iter().collect();
    fields.sort();
    fields.dedup();
    addresses(url).iter().any(|address| {
        let mut mac = new_mac(auth_token);
        mac.update(address.as_bytes());
        for (name, value) in &fields {
            mac.update(name.as_bytes());
            mac.update(value.as_bytes());
        }
        mac.verify_slice(&signature).is_ok()
    })
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104 section 3)")]
fn new_mac(auth_token: &SecretString) -> Hmac<Sha1> {
    Hmac::new_from_slice(auth_token.expose_secret().as_bytes()).expect("a key of any length")
}

/// The address as it is, and the other way to write it: without its port, or with the scheme's own.
fn addresses(url: &str) -> Vec<String> {
    let mut found = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else { return found };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let bare = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => Some(name),
        _ => None,
    };
    let port = if scheme == "https" { 443 } else { 80 };
    found.push(match bare {
        Some(name) => format!("{scheme}://{name}{path}"),
        None => format!("{scheme}://{host}:{port}{path}"),
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// The example of Twilio's documentation.
    #[test]
    fn the_documentation_s_example_is_genuine_and_nothing_else_is() {
        let token = SecretString::from("12345");
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        let example = [
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ];
        let signature = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
        let mut shuffled = example;
        shuffled.reverse();
        assert!(is_genuine(&token, url, &fields(&shuffled), signature));
        assert!(is_genuine(
            &token,
            "https://mycompany.com:8443/myapp.php?foo=1&bar=2",
            &fields(&example),
            signature
        ));

        assert!(!is_genuine(&SecretString::from("12346"), url, &fields(&example), signature));
        assert!(!is_genuine(&token, "https://mycompany.com/myapp.php?foo=1", &fields(&example), signature));
        assert!(!is_genuine(&token, url, &fields(&example[1..]), signature));
        let mut changed = example;
        changed[4].1 = "+18005551213";
        assert!(!is_genuine(&token, url, &fields(&changed), signature));
        for wrong in ["", "RSOYDt4T1cUTdK1PDd93/VVr8B8", "RSOYDt4T1cUTdK1PDd93/VVr8B9=", "AAAA", "not base64"]
        {
            assert!(!is_genuine(&token, url, &fields(&example), wrong), "{wrong:?}");
        }
    }

    #[test]
    fn an_address_is_known_with_and_without_its_port() {
        let found = |url: &str| addresses(url)[1].clone();
        assert_eq!(found("https://a.example/b"), "https://a.example:443/b");
        assert_eq!(found("http://a.example"), "http://a.example:80");
        assert_eq!(found("http://127.0.0.1:8080/b"), "http://127.0.0.1/b");
    }
}
