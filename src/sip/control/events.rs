//! What PJSIP tells: where the calls' states follow from.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Control;
use crate::audio::dtmf::Digit;
use crate::call::{Answered, LocalCause, Signal, SipStatus, TransferOutcome};
use crate::config::Transport;
use crate::pj::{CallKey, Method, NegotiatedMedia, PinnedStream, PjEvent, Protocol};
use crate::sip::locate::{self, Query};
use crate::sip::moving::Moving;

impl Control {
    /// Takes what PJSIP told since the last look.
    pub(super) fn take_events(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.event(event);
        }
    }

    fn event(&mut self, event: PjEvent) {
        let now = Instant::now();
        match event {
            PjEvent::RequestSent { call_id, tag, method: Method::Invite, server, connection, authorized } => {
                if let Some(call) = self.call_by_id(&call_id) {
                    call.left_for(server, tag, authorized);
                }
                if self.connections.carries(connection, &call_id) {
                    self.sent(now, &call_id);
                }
            }
            PjEvent::RequestSent { .. } => {}
            PjEvent::Resolve { question, host, port, protocol } => {
                let transport = match protocol {
                    Protocol::Udp => Transport::Udp,
                    Protocol::Tcp => Transport::Tcp,
                    Protocol::Tls => Transport::Tls,
                };
                self.resolve(now, question, Query::new(&host, port, transport, self.ipv6));
            }
            PjEvent::Connected(connection) => {
                for call_id in self.connections.connected(connection) {
                    self.sent(now, &call_id);
                }
            }
            PjEvent::ConnectionGone(connection) => self.connections.gone(connection),
            PjEvent::Response {
                call_id,
                tag,
                method,
                code,
                phrase,
                reason,
                retry_after,
                warning,
                has_sdp,
                secure_media,
            } => {
                if self.call_by_id(&call_id).is_none_or(|call| !call.is_tagged(&tag)) {
                    // Not a call's, or of an attempt that is given up.
                    return;
                }
                let status = SipStatus::new(code, phrase);
                self.response(
                    now,
                    &call_id,
                    method,
                    status,
                    has_sdp,
                    secure_media,
                    (reason, retry_after, warning),
                );
            }
            PjEvent::ByeReceived { call_id, reason } => {
                if let Some(call) = self.call_by_id(&call_id) {
                    call.explained(reason.as_deref(), None);
                    call.bye_received();
                }
            }
            PjEvent::Confirmed { key, media } => self.confirmed(now, key, media),
            PjEvent::Disconnected { key, code, phrase } => self.disconnected(now, key, code, &phrase),
            PjEvent::Stream { key, stream } => self.stream(key, stream),
            PjEvent::MediaState { key, on_hold } => {
                let heard_by = self.heard_by(key);
                if let Some(call) = self.calls.get_mut(&key) {
                    call.hold(now, on_hold);
                }
                if let Some(call) = self.calls.get_mut(&heard_by).filter(|_| heard_by != key) {
                    call.signal(now, Signal::Hold(on_hold));
                }
            }
            PjEvent::Digit { key, digit } => {
                let key = self.heard_by(key);
                if let (Some(call), Ok(digit)) = (self.calls.get_mut(&key), Digit::try_from(digit)) {
                    call.signal(now, Signal::Digit(digit));
                }
            }
            PjEvent::Referred { key, target, taken } => self.referred(now, key, &target, taken),
            PjEvent::TransferStatus { key, code, phrase, last } => {
                if let Some(call) = self.calls.get_mut(&key) {
                    let status = SipStatus::new(code, phrase);
                    let outcome = match code {
                        ..=199 if !last => TransferOutcome::Progress(status),
                        200..=299 => TransferOutcome::Completed(status),
                        _ => TransferOutcome::Failed(status),
                    };
                    if matches!(outcome, TransferOutcome::Completed(_)) {
                        call.transferred(now);
                    }
                    call.signal(now, Signal::Transfer(outcome));
                }
            }
            PjEvent::Registration { account, code, phrase, expires, error } => {
                if let Some(trunk) = self.trunks.iter_mut().find(|trunk| trunk.account() == account) {
                    let registrar = trunk.registrar();
                    if let Some(server) =
                        self.directory.last(&registrar).filter(|_| matches!(code, 408 | 503))
                    {
                        // PJSUA tries again by itself, and finds the next one.
                        self.directory.penalise(now, server, locate::PENALTY);
                    }
                    let order = self.directory.order(&registrar);
                    let accepted = (200..300).contains(&code);
                    let lost = self.connections.failure(|failure| {
                        // A connection that was lost just before does not take a success back.
                        !accepted
                            && (trunk.is_reached_by(&failure.remote.0)
                                || failure.address.is_some_and(|address| order.contains(&address)))
                    });
                    trunk.registered(now, code, phrase, expires, lost.or(error));
                }
            }
            PjEvent::TransportFailed(failure) => self.connections.failed(now, failure),
            PjEvent::Refused { reason } => self.counters.refused(reason),
            PjEvent::Panicked { callback, message } => {
                tracing::error!(target: "outdial::sip", callback, message, "a callback panicked; please report it");
                self.counters.panicked();
            }
        }
    }

    /// An INVITE is on its way.
    fn sent(&mut self, now: Instant, call_id: &str) {
        let abandoned = self.call_by_id(call_id).is_some_and(|call| !call.sent(now));
        if abandoned {
            self.end_by_id(call_id, LocalCause::Hangup);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one event, taken apart")]
    fn response(
        &mut self,
        now: Instant,
        call_id: &str,
        method: Method,
        status: SipStatus,
        has_sdp: bool,
        secure_media: bool,
        (reason, retry_after, warning): (Option<String>, Option<u32>, Option<String>),
    ) {
        let Some(key) = self.by_call_id.get(call_id).copied() else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let srtp_required = self.trunks[call.trunk].requires_srtp();
        let last = status.code >= 200;
        match method {
            Method::Invite => {
                if last && !call.is_answered() {
                    call.explained(reason.as_deref(), retry_after);
                    call.warned(warning);
                }
                if srtp_required && has_sdp && !secure_media && (180..300).contains(&status.code) {
                    let detail =
                        "the callee's end answered without SRTP, which this trunk requires".to_owned();
                    call.blame(LocalCause::SrtpRefused, Some(detail));
                    if !last {
                        // PJSUA has cancelled it. Should it be answered all the same, it is hung up on.
                        call.ending(now);
                    }
                }
                let answered = (200..300).contains(&status.code);
                if status.code == 491 {
                    // Both ends offered at once (RFC 3261 §14.1): the owner of the Call-ID waits 2.1 to 4 s.
                    call.offer_again_at(now + Duration::from_millis(rand::random_range(210..=400) * 10));
                }
                call.response(now, status.clone(), has_sdp.then_some(secure_media));
                let predecessor = call.succession.predecessor.filter(|_| !call.is_answered());
                // After our CANCEL a refusal is the far end's last word; a 200 that crossed it is followed by BYE.
                if last && !answered && call.is_ending() && call.slot.is_none() {
                    self.conclude(now, key);
                } else if let Some(predecessor) = predecessor.filter(|_| !last) {
                    self.move_goes_on(now, predecessor, status);
                }
            }
            Method::Bye if last && call.is_ending() => self.conclude(now, key),
            _ => {}
        }
    }

    fn confirmed(&mut self, now: Instant, key: CallKey, media: Option<NegotiatedMedia>) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if call.is_ending() {
            // The answer crossed our CANCEL.
            if let Some(Err(error)) = call.slot.map(|slot| self.instance.hang_up(slot)) {
                tracing::debug!(target: "outdial::sip", %error, "hang-up refused: the call is over already");
            }
            return;
        }
        let srtp_required = self.trunks[call.trunk].requires_srtp();
        let Some(media) = media else {
            if !call.is_described() {
                let detail = "the callee's end answered without describing any media".to_owned();
                return self.end(key, LocalCause::MediaSetup, Some(detail));
            }
            // An answer that is `inactive`, or has the address 0.0.0.0: answered, and put on hold at once.
            call.media.mark_answered();
            let answered = Answered { codec: "none".to_owned(), srtp: None, remote: None };
            call.signal(now, Signal::Answered(answered.clone()));
            call.hold(now, true);
            return self.moved(now, key, answered);
        };
        // PJSIP refuses this itself; a call in the clear against the operator's word would be the worst of faults.
        if srtp_required && media.srtp.is_none() {
            let detail = "the callee's end would not encrypt, which this trunk requires".to_owned();
            return self.end(key, LocalCause::SrtpRefused, Some(detail));
        }
        call.media.mark_answered();
        let answered =
            Answered { codec: media.codec.clone(), srtp: media.srtp.clone(), remote: media.remote };
        call.negotiated(media);
        call.signal(now, Signal::Answered(answered.clone()));
        // An answer may put the call on hold at once (RFC 3264 §8.4): `sendonly`.
        call.hold(now, call.is_on_hold());
        self.moved(now, key, answered);
    }

    fn stream(&mut self, key: CallKey, stream: PinnedStream) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| !call.is_ending()) else { return };
        // Nothing has been read from its sockets before the clock does.
        stream.set_symmetric(self.trunks[call.trunk].symmetric_rtp());
        let stream = Arc::new(stream);
        if call.succession.predecessor.is_some() && !call.is_answered() {
            // Till then the application talks with whoever has the call moved.
            return call.succession.keep_stream(stream);
        }
        self.serve(key, stream);
    }

    /// PJSUA is done with a call; its slot may be another's from now on.
    fn disconnected(&mut self, now: Instant, key: CallKey, code: u16, phrase: &str) {
        self.instance.forget_call(key);
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.slot = None;
        if call.succession.moving != Moving::No && !call.is_ending() {
            return call.left_by_callee(now);
        }
        if self.goes_elsewhere(now, key, code) {
            return;
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        if call.is_unsent() {
            let detail = self.failure_of_call(key).unwrap_or_else(|| format!("{code} {phrase}"));
            return self.refuse(key, detail, None);
        }
        if call.is_ending() {
            // PJSUA says so before CANCEL or BYE is on the wire. The last word is the far end's; without any sign of
            // it there is nobody to wait for.
            let refused = call.facts().final_status.as_ref().is_some_and(|status| status.code >= 300);
            if refused {
                self.conclude(now, key);
            }
            return;
        }
        self.explain_disconnect(key, code, phrase);
        self.conclude(now, key);
    }

    /// Finds out why PJSUA gave a call up, where the wire does not say it.
    fn explain_disconnect(&mut self, key: CallKey, code: u16, phrase: &str) {
        let Some(call) = self.calls.get(&key) else { return };
        let facts = call.facts();
        if facts.bye_from_remote || facts.local.is_some() {
            return;
        }
        let final_code = facts.final_status.as_ref().map(|status| status.code);
        let answered = call.is_answered();
        let lost = self.failure_of_call(key);
        let (cause, detail) = match (final_code, code) {
            (Some(401 | 407), _) if !answered => {
                let detail = self.trunks[call.trunk].credentials_failed(call.is_authorized()).to_owned();
                (LocalCause::AuthFailed, detail)
            }
            // Refused by the far end: it has said all there is to say.
            (Some(300..), _) if !answered => return,
            (Some(200..=299), 488) if !answered && call.is_described_with_srtp() => {
                let detail = "the callee's answer has no SRTP key for what was offered".to_owned();
                (LocalCause::SrtpRefused, detail)
            }
            (Some(200..=299), _) if !answered => {
                let detail = format!("the callee's answer could not be used: {code} {phrase}");
                let agreed = !matches!(code, 406 | 415 | 416 | 488);
                (if agreed { LocalCause::MediaSetup } else { LocalCause::NoCommonCodec }, detail)
            }
            (_, 408) => (LocalCause::NoResponse, "no response came in time".to_owned()),
            (_, 502) => (LocalCause::DnsFailed, "the trunk's host name did not resolve".to_owned()),
            (_, 503) => (
                LocalCause::TransportFailed,
                lost.unwrap_or_else(|| format!("the connection failed: {phrase}")),
            ),
            _ => (LocalCause::Internal, format!("{code} {phrase}")),
        };
        if let Some(call) = self.calls.get_mut(&key) {
            call.blame(cause, Some(detail));
        }
    }
}
