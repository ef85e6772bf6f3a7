//! How often, and with what, PJSIP answers a challenge.

mod support;

use pjsip_sys::*;
use std::mem::MaybeUninit;
use std::ptr;
use support::{Lib, bytes};

/// A client that has sent a request, and the request.
struct Client<'a> {
    lib: &'a Lib,
    endpoint: *mut pjsip_endpoint,
    session: *mut pjsip_auth_clt_sess,
    request: *mut pjsip_tx_data,
}

impl<'a> Client<'a> {
    fn new(lib: &'a Lib) -> Self {
        let endpoint = lib.sip_endpoint();
        let session = Box::leak(Box::new(MaybeUninit::<pjsip_auth_clt_sess>::zeroed())).as_mut_ptr();
        let mut request = ptr::null_mut();
        let (uri, none) = (lib.text("sip:registrar.example"), ptr::null());
        // SAFETY: the strings live in the pool, the session is leaked.
        unsafe {
            let method = pjsip_get_register_method();
            assert_eq!(
                pjsip_endpt_create_request(
                    endpoint,
                    method,
                    &uri,
                    &uri,
                    &uri,
                    none,
                    none,
                    -1,
                    none,
                    &mut request
                ),
                0
            );
            assert_eq!(pjsip_auth_clt_init(session, endpoint, lib.pool, 0), 0);
        }
        let client = Client { lib, endpoint, session, request };
        client.credential("r");
        client
    }

    /// Sets the only credential that the client has.
    fn credential(&self, realm: &str) {
        // SAFETY: the credential is plain data that is copied; its strings live in the pool.
        unsafe {
            let mut credential: pjsip_cred_info = std::mem::zeroed();
            credential.realm = self.lib.text(realm);
            credential.scheme = self.lib.text("digest");
            credential.username = self.lib.text("u");
            credential.data_type = PJSIP_CRED_DATA_PLAIN_PASSWD as i32;
            credential.data = self.lib.text("p");
            assert_eq!(pjsip_auth_clt_set_credentials(self.session, 1, &credential), 0);
        }
    }

    /// Receives a 401 with challenges of the scheme Digest, or with what stands behind an `=`; whether the request is to be
    /// sent again.
    fn challenged(&self, challenges: &[&str]) -> bool {
        let mut text = "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bK1\r\n\
                        From: <sip:u@a.example>;tag=1\r\nTo: <sip:u@a.example>;tag=2\r\nCall-ID: c\r\n\
                        CSeq: 1 REGISTER\r\n"
            .to_owned();
        for challenge in challenges {
            if let Some(whole) = challenge.strip_prefix('=') {
                text += &format!("WWW-Authenticate: {whole}\r\n");
                continue;
            }
            let realm = if challenge.starts_with("realm") { "" } else { "realm=\"r\"," };
            text += &format!("WWW-Authenticate: Digest {realm}{challenge}\r\n");
        }
        let text = self.lib.text(&(text + "Content-Length: 0\r\n\r\n"));
        let mut response = MaybeUninit::<pjsip_rx_data>::zeroed();
        let mut again = ptr::null_mut();
        // SAFETY: the text is NUL-terminated; of the received data only the message and the pool are
        // looked at.
        unsafe {
            let response = response.as_mut_ptr();
            (*response).tp_info.pool = self.lib.pool;
            (*response).msg_info.msg =
                pjsip_parse_msg(self.lib.pool, text.ptr, text.slen as pj_size_t, ptr::null_mut());
            assert!(!(*response).msg_info.msg.is_null());
            pjsip_auth_clt_reinit_req(self.session, response, self.request, &mut again) == 0
        }
    }

    /// The algorithm and the nonce of each Authorization header of the request.
    fn answers(&self) -> Vec<(String, String)> {
        let text = |string: &pj_str_t| String::from_utf8_lossy(bytes(string)).into_owned();
        let mut answers = Vec::new();
        // SAFETY: the request and its headers live until the client is dropped.
        unsafe {
            let end = (&raw mut (*(*self.request).msg).hdr).cast::<pjsip_hdr>();
            let mut header = (*end).next;
            while header != end {
                if (*header).type_ == PJSIP_H_AUTHORIZATION {
                    let digest = &(*header.cast::<pjsip_authorization_hdr>()).credential.digest;
                    answers.push((text(&digest.algorithm), text(&digest.nonce)));
                }
                header = (*header).next;
            }
        }
        answers
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        // SAFETY: nothing of the endpoint is used afterwards.
        unsafe { pjsip_endpt_destroy(self.endpoint) };
    }
}

#[test]
fn a_wrong_password_is_tried_once() {
    let lib = Lib::new();
    let client = Client::new(&lib);
    assert!(client.challenged(&["nonce=\"1\""]));
    assert!(!client.challenged(&["nonce=\"2\""]));
}

#[test]
fn a_stale_nonce_is_worth_another_try() {
    let lib = Lib::new();
    let client = Client::new(&lib);
    assert!(client.challenged(&["nonce=\"1\""]));
    assert!(client.challenged(&["nonce=\"2\",stale=true"]));
    assert_eq!(client.answers().last().unwrap().1, "2");
    assert!(!client.challenged(&["nonce=\"3\""]));
}

#[test]
fn an_unknown_scheme_beside_digest_is_passed_over() {
    let lib = Lib::new();
    let others = ["=NTLM", "=Bearer authz_server=\"https://a.example\",\r\n scope=\"b\"", "=\"Kerberos\" x"];
    for unknown in others {
        assert!(!Client::new(&lib).challenged(&[unknown]), "{unknown}");
        for challenges in [[unknown, "nonce=\"1\""], ["nonce=\"1\"", unknown]] {
            let client = Client::new(&lib);
            assert!(client.challenged(&challenges), "{challenges:?}");
            assert_eq!(client.answers().len(), 1);
        }
    }
}

#[test]
fn the_strongest_algorithm_is_answered() {
    let sha512 = "nonce=\"1\",algorithm=SHA-512-256";
    let sha256 = "nonce=\"2\",algorithm=SHA-256";
    let md5 = "nonce=\"3\",algorithm=MD5";
    let unknown = "nonce=\"4\",algorithm=SHA-3";
    for challenges in [[sha256, md5], [md5, sha256], [sha256, unknown]] {
        let lib = Lib::new();
        let client = Client::new(&lib);
        assert!(client.challenged(&challenges), "{challenges:?}");
        assert_eq!(client.answers(), [("SHA-256".into(), "2".into())], "{challenges:?}");
    }
    let lib = Lib::new();
    let client = Client::new(&lib);
    assert!(client.challenged(&[md5, sha512, sha256]));
    assert_eq!(client.answers(), [("SHA-512-256".into(), "1".into())]);
}

#[test]
fn of_equals_the_first_is_answered() {
    let lib = Lib::new();
    let client = Client::new(&lib);
    assert!(client.challenged(&["nonce=\"1\"", "nonce=\"2\",algorithm=MD5"]));
    // The answer repeats the algorithm as it was named, or not.
    assert_eq!(client.answers(), [(String::new(), "1".into())]);
}

#[test]
fn no_more_than_four_challenges_are_answered() {
    let lib = Lib::new();
    let client = Client::new(&lib);
    client.credential("*");
    let challenges: Vec<String> = (0..30).map(|i| format!("realm=\"r{i}\",nonce=\"{i}\"")).collect();
    assert!(client.challenged(&challenges.iter().map(String::as_str).collect::<Vec<_>>()));
    let nonces: Vec<String> = client.answers().into_iter().map(|(_, nonce)| nonce).collect();
    assert_eq!(nonces, ["0", "1", "2", "3"]);
}
