//! The registrar: REGISTER into bindings (RFC 3261 section 10.3).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::sip::header::NameAddr;
use crate::sip::message::Message;

/// Bindings one account may have.
const MAX_BINDINGS: usize = 32;
/// For how long a binding lasts when the client does not say, in seconds.
const DEFAULT_EXPIRES: u32 = 3600;

/// A contact that an account has registered.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The account.
    pub user: String,
    /// The Contact URI.
    pub contact: String,
    /// When the binding lapses.
    pub expires_at: Instant,
    call_id: String,
    cseq: u32,
}

/// What a REGISTER asked for and got.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every binding after the change, and what changed: contact and seconds, 0 for removed.
    Ok { changed: Vec<(String, u32)> },
    /// 423 with this Min-Expires.
    TooBrief(u32),
    /// 400: CSeq went backwards, a Contact is malformed, or there are too many.
    Bad(&'static str),
}

/// The registrar's limits, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) min_expires: u32,
    pub(crate) max_expires: u32,
}

#[derive(Default)]
pub(crate) struct Registrar {
    bindings: HashMap<String, Vec<Registration>>,
}

impl Registrar {
    /// Applies a REGISTER of `user`.
    pub(crate) fn apply(
        &mut self,
        now: Instant,
        user: &str,
        request: &Message,
        call_id: &str,
        cseq: u32,
        limits: Limits,
    ) -> Outcome {
        let default = match request.header("Expires").map(str::parse) {
            None => DEFAULT_EXPIRES,
            Some(Ok(seconds)) => seconds,
            Some(Err(_)) => return Outcome::Bad("Expires"),
        };
        let bindings = self.bindings.entry(user.to_owned()).or_default();
        bindings.retain(|binding| binding.expires_at > now);
        let out_of_order = |binding: &Registration| binding.call_id == call_id && binding.cseq >= cseq;
        let contacts = request.values("Contact");
        if contacts == ["*"] {
            if default != 0 {
                return Outcome::Bad("Contact: * needs Expires: 0");
            }
            let removed = bindings.drain(..).map(|binding| (binding.contact, 0)).collect();
            return Outcome::Ok { changed: removed };
        }
        let mut changes = Vec::new();
        for contact in contacts {
            let Some(contact) = NameAddr::parse(contact) else { return Outcome::Bad("Contact") };
            let seconds = match contact.params.get("expires").map(str::parse) {
                None => default,
                Some(Ok(seconds)) => seconds,
                Some(Err(_)) => return Outcome::Bad("expires parameter"),
            };
            if seconds != 0 && seconds < limits.min_expires {
                return Outcome::TooBrief(limits.min_expires);
            }
            changes.push((contact.uri, seconds.min(limits.max_expires)));
        }
        for (uri, seconds) in &changes {
            if bindings.iter().any(|binding| binding.contact == *uri && out_of_order(binding)) {
                return Outcome::Bad("CSeq");
            }
            bindings.retain(|binding| binding.contact != *uri);
            if *seconds > 0 {
                if bindings.len() == MAX_BINDINGS {
                    return Outcome::Bad("too many contacts");
                }
                bindings.push(Registration {
                    user: user.to_owned(),
                    contact: uri.clone(),
                    expires_at: now + Duration::from_secs((*seconds).into()),
                    call_id: call_id.to_owned(),
                    cseq,
                });
            }
        }
        Outcome::Ok { changed: changes }
    }

    /// The bindings of an account that still hold.
    pub(crate) fn of(&self, now: Instant, user: &str) -> Vec<Registration> {
        let bindings = self.bindings.get(user).into_iter().flatten();
        bindings.filter(|binding| binding.expires_at > now).cloned().collect()
    }

    /// All bindings that still hold.
    pub(crate) fn all(&self, now: Instant) -> Vec<Registration> {
        self.bindings.values().flatten().filter(|binding| binding.expires_at > now).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { min_expires: 60, max_expires: 600 };

    fn register(contact: &str, expires: &str) -> Message {
        Message::request("REGISTER", "sip:h").with("Contact", contact).with("Expires", expires)
    }

    #[test]
    fn a_binding_is_made_capped_refreshed_and_removed() {
        let (mut registrar, now) = (Registrar::default(), Instant::now());
        let mut apply = |message: &Message, cseq| registrar.apply(now, "u", message, "id", cseq, LIMITS);
        let contact = "<sip:u@1.2.3.4>".to_owned();
        let uri = "sip:u@1.2.3.4".to_owned();
        assert_eq!(apply(&register(&contact, "3600"), 1), Outcome::Ok { changed: vec![(uri.clone(), 600)] });
        assert_eq!(apply(&register(&contact, "300"), 1), Outcome::Bad("CSeq"));
        assert_eq!(apply(&register(&contact, "59"), 2), Outcome::TooBrief(60));
        let short = register(&format!("{contact};expires=120"), "9");
        assert_eq!(apply(&short, 3), Outcome::Ok { changed: vec![(uri.clone(), 120)] });
        assert_eq!(apply(&register("*", "60"), 4), Outcome::Bad("Contact: * needs Expires: 0"));
        assert_eq!(apply(&register("*", "0"), 5), Outcome::Ok { changed: vec![(uri, 0)] });
        assert!(registrar.all(now).is_empty());
    }

    #[test]
    fn a_binding_lapses() {
        let (mut registrar, now) = (Registrar::default(), Instant::now());
        registrar.apply(now, "u", &register("<sip:u@h>", "60"), "id", 1, LIMITS);
        assert_eq!(registrar.of(now, "u").len(), 1);
        assert!(registrar.of(now + Duration::from_secs(60), "u").is_empty());
        assert!(registrar.of(now, "v").is_empty());
    }
}
