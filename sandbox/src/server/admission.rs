//! Who may register and who may call.

use std::sync::PoisonError;
use std::time::Instant;

use super::{Event, Server};
use crate::DigestAlgorithm;
use crate::builder::InviteChallenge;
use crate::digest::Verdict;
use crate::registrar::{Limits, Outcome};
use crate::sip::header::uri_user;
use crate::sip::request::Request;
use crate::sip::transaction::ServerTransaction;

impl Server {
    pub(super) fn register(&self, transaction: &ServerTransaction) {
        if let Some((status, phrase)) = &self.settings.refuse_registrations {
            return transaction.reply(*status, phrase);
        }
        let request = &transaction.request;
        let account = uri_user(&request.to.uri).unwrap_or_default().to_owned();
        let (user, algorithm) = if self.settings.authenticate {
            match self.authenticate(transaction, InviteChallenge::Unauthorized) {
                Some((user, algorithm)) => (user, Some(algorithm)),
                None => return,
            }
        } else {
            (account.clone(), None)
        };
        if user != account {
            return transaction.reply(403, "Forbidden: not your address of record");
        }
        let now = Instant::now();
        let limits =
            Limits { min_expires: self.settings.min_expires, max_expires: self.settings.max_expires };
        let mut registrar = self.registrar.lock().unwrap_or_else(PoisonError::into_inner);
        match registrar.apply(now, &user, &request.message, &request.call_id, request.cseq, limits) {
            Outcome::Bad(what) => transaction.reply(400, &format!("Bad Request: {what}")),
            Outcome::TooBrief(seconds) => {
                let refusal = transaction.response(423, "Interval Too Brief");
                transaction.respond(&refusal.with("Min-Expires", seconds.to_string()));
            }
            Outcome::Ok { changed } => {
                let mut answer = transaction.response(200, "OK");
                for binding in registrar.of(now, &user) {
                    // Rounded up, or a client would see every registration a second short.
                    let left = binding.expires_at.duration_since(now).as_secs_f64().ceil();
                    answer.push("Contact", format!("<{}>;expires={left}", binding.contact));
                }
                transaction.respond(&answer);
                let transport = transaction.source.transport;
                for (contact, expires) in changed {
                    let user = user.clone();
                    self.journal.tell(match expires {
                        0 => Event::Unregistered { user, contact },
                        _ => Event::Registered { user, contact, expires, transport, algorithm },
                    });
                }
            }
        }
    }

    /// The user who may make this call, `Some(None)` where nobody is asked; otherwise it has been refused.
    pub(super) fn admit(&self, transaction: &ServerTransaction) -> Option<Option<String>> {
        let user = match self.settings.authenticate {
            true => Some(self.authenticate(transaction, self.settings.invite_challenge)?.0),
            false => None,
        };
        let request = &transaction.request;
        if self.settings.require_registration && !self.is_registered(user.as_deref(), request) {
            transaction.reply(403, "Forbidden: not registered");
            return None;
        }
        let from = uri_user(&request.from.uri);
        if self.settings.account_in_from && user.as_deref() != from {
            transaction.reply(403, "Forbidden: From is not your account");
            return None;
        }
        Some(user)
    }

    fn is_registered(&self, user: Option<&str>, request: &Request) -> bool {
        let user = user.or_else(|| uri_user(&request.from.uri));
        let registrar = self.registrar.lock().unwrap_or_else(PoisonError::into_inner);
        user.is_some_and(|user| !registrar.of(Instant::now(), user).is_empty())
    }

    /// The user whose credentials hold; otherwise the challenge or refusal has been sent.
    fn authenticate(
        &self,
        transaction: &ServerTransaction,
        challenge: InviteChallenge,
    ) -> Option<(String, DigestAlgorithm)> {
        let request = &transaction.request;
        let name = match challenge {
            InviteChallenge::Unauthorized => "Authorization",
            InviteChallenge::ProxyAuthenticationRequired => "Proxy-Authorization",
        };
        // A credentials header holds one set of comma-separated parameters and is no list.
        let credentials = request.message.lines(name);
        let accounts = &self.settings.accounts;
        let password = |user: &str| {
            accounts.iter().find(|(name, _)| name == user).map(|(_, password)| password.as_str())
        };
        let verdict = {
            let mut authenticator = self.authenticator.lock().unwrap_or_else(PoisonError::into_inner);
            authenticator.verify(Instant::now(), &request.method, &request.call_id, &credentials, password)
        };
        let stale = verdict == Verdict::Stale;
        let reason = match verdict {
            Verdict::Accepted { user, algorithm } => return Some((user, algorithm)),
            Verdict::Missing => None,
            Verdict::Stale => Some("stale nonce"),
            Verdict::Refused(reason) => Some(reason),
            Verdict::OtherCall => {
                transaction.reply(403, "Forbidden: not the Call-ID that was challenged");
                return None;
            }
        };
        if let Some(reason) = reason {
            let (method, peer) = (request.method.clone(), transaction.source.peer);
            self.journal.tell(Event::AuthenticationRefused { method, peer, reason });
        }
        self.challenge(transaction, challenge, stale);
        None
    }

    pub(super) fn challenge(&self, transaction: &ServerTransaction, challenge: InviteChallenge, stale: bool) {
        let (mut response, name) = match challenge {
            InviteChallenge::Unauthorized => (transaction.response(401, "Unauthorized"), "WWW-Authenticate"),
            InviteChallenge::ProxyAuthenticationRequired => {
                (transaction.response(407, "Proxy Authentication Required"), "Proxy-Authenticate")
            }
        };
        let mut authenticator = self.authenticator.lock().unwrap_or_else(PoisonError::into_inner);
        for value in authenticator.challenges(Instant::now(), &transaction.request.call_id, stale) {
            response.push(name, value);
        }
        drop(authenticator);
        transaction.respond(&response);
    }
}
