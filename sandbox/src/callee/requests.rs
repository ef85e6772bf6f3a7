//! What the caller sends within the call, and the answers.

use super::{Call, Input, Over};
use crate::behaviour::{Answer, Quirk, Transfer};
use crate::journal::Event;
use crate::sdp::{self, Disagreement};
use crate::sip::ALLOW;
use crate::sip::header::NameAddr;
use crate::sip::message::Message;
use crate::sip::request::Request;
use crate::sip::transaction::ServerTransaction;

impl Call {
    pub(super) async fn take(&mut self, input: Input) -> Result<(), Over> {
        match input {
            Input::Cancel(transaction) => self.cancel(&transaction),
            Input::Ack(ack) => {
                self.acknowledged(&ack);
                Ok(())
            }
            Input::Request(transaction) if !self.dialog.owns(&transaction.request) => {
                transaction.reply(481, "Call/Transaction Does Not Exist");
                Ok(())
            }
            Input::Request(transaction) => Box::pin(self.serve(transaction)).await,
        }
    }

    fn cancel(&mut self, transaction: &ServerTransaction) -> Result<(), Over> {
        transaction.reply(200, "OK");
        if self.record.answered.is_some() {
            return Ok(());
        }
        if self.behaviour.quirk == Quirk::CancelCrosses {
            self.answer(Answer::Full);
            return Ok(());
        }
        Err(Over::Cancelled { reason: reason(&transaction.request.message) })
    }

    fn acknowledged(&mut self, ack: &Request) {
        if !self.dialog.owns(ack) {
            return;
        }
        if self.acks_to_lose > 0 {
            self.acks_to_lose -= 1;
            return;
        }
        if self.record.confirmed.is_none() {
            self.check_route(ack);
            if ack.cseq != self.invite.request.cseq {
                self.fault(format!(
                    "ACK with CSeq {} for an INVITE with {}",
                    ack.cseq, self.invite.request.cseq
                ));
            }
        }
        if self.dialog.is_current(ack) {
            self.stop_repeating();
        }
        if self.session.offered.is_some() {
            self.take_answer(&ack.message.body);
        }
        if self.record.confirmed.is_none() && self.record.answered.is_some() {
            self.record.confirmed = Some(std::time::SystemTime::now());
            self.server.journal.store(&self.record);
            self.server.journal.tell(Event::CallConfirmed { call_id: self.record.call_id.clone() });
        }
    }

    async fn serve(&mut self, transaction: ServerTransaction) -> Result<(), Over> {
        let request = &transaction.request;
        if !self.dialog.follow(request, &transaction.source) {
            transaction.reply(500, "Server Internal Error: CSeq out of order");
            return Ok(());
        }
        self.check_route(request);
        match request.method.as_str() {
            "BYE" if self.dialog.hang_up(request) => {
                transaction.reply(200, "OK");
                // Its 200 needs no ACK any more.
                self.stop_repeating();
            }
            "BYE" => {
                if self.behaviour.quirk != Quirk::DeafToBye {
                    transaction.reply(200, "OK");
                }
                return Err(Over::CallerHungUp { reason: reason(&request.message) });
            }
            "INVITE" | "UPDATE" => self.renegotiate(&transaction),
            "PRACK" => self.prack(&transaction),
            "INFO" => {
                transaction.reply(200, "OK");
                if let Some(key) = dtmf_relay(&request.message) {
                    self.note_key(key);
                }
            }
            "REFER" => self.transfer(&transaction).await?,
            "NOTIFY" => transaction.reply(200, "OK"),
            "OPTIONS" => transaction.respond(&transaction.response(200, "OK").with("Allow", ALLOW)),
            _ => transaction.respond(&transaction.response(405, "Method Not Allowed").with("Allow", ALLOW)),
        }
        Ok(())
    }

    /// A request within the dialog goes to the Contact, by way of the route set (RFC 3261 section 12.2.1.1).
    fn check_route(&mut self, request: &Request) {
        if !self.dialog.is_target(&request.uri) {
            self.fault(format!("{} to {} instead of the Contact", request.method, request.uri));
        }
        let routed =
            self.dialog.proxy().is_none_or(|proxy| request.message.values("Route").contains(&proxy.as_str()));
        if !routed {
            self.fault(format!("{} without the Route that Record-Route asked for", request.method));
        }
    }

    /// A re-INVITE or UPDATE of the caller (RFC 3261 section 14.2, RFC 3311).
    fn renegotiate(&mut self, transaction: &ServerTransaction) {
        let request = &transaction.request;
        let is_invite = request.method == "INVITE";
        if is_invite && (self.session.offered.is_some() || self.repeating.is_some()) {
            return transaction.reply(491, "Request Pending");
        }
        let contact = self.dialog.contact();
        let response = transaction.response(200, "OK").with("Contact", contact).with("Allow", ALLOW);
        let body = request.message.body.clone();
        let response = if !body.is_empty() {
            match sdp::negotiate(&body, &self.preferences()) {
                Ok(negotiation) => {
                    let agreed = negotiation.agreed.clone();
                    self.session.negotiation = Some(negotiation);
                    self.configure(agreed);
                    let _ = self.origin(true);
                    self.with_session(response, Answer::Full)
                }
                Err(Disagreement::Malformed) => return transaction.reply(400, "Bad Request: SDP"),
                Err(Disagreement::NotAcceptable(why)) => {
                    let refusal = transaction.response(488, "Not Acceptable Here");
                    return transaction.respond(&refusal.with("Warning", format!("305 sandbox \"{why}\"")));
                }
            }
        } else if is_invite {
            self.with_offer(response)
        } else {
            response
        };
        transaction.respond(&response);
        if is_invite {
            self.repeat_until_acknowledged(transaction.clone());
        }
        self.server.journal.store(&self.record);
    }

    fn prack(&mut self, transaction: &ServerTransaction) {
        let acknowledged = transaction.request.message.header("RAck").and_then(|rack| rack.split(' ').next());
        if self.repeating.is_some() && acknowledged == Some(self.rseq.to_string().as_str()) {
            self.stop_repeating();
            transaction.reply(200, "OK");
        } else {
            transaction.reply(481, "Call/Transaction Does Not Exist");
        }
    }

    /// The caller asks us to call somebody else (RFC 3515); the sandbox only pretends to.
    async fn transfer(&mut self, transaction: &ServerTransaction) -> Result<(), Over> {
        let target = transaction.request.message.header("Refer-To").and_then(NameAddr::parse);
        if target.is_none() {
            transaction.reply(400, "Bad Request: Refer-To");
            return Ok(());
        }
        let result = match self.behaviour.quirk {
            Quirk::Transfer(Transfer::Refused) => {
                transaction.reply(603, "Decline");
                return Ok(());
            }
            Quirk::Transfer(Transfer::TargetBusy) => "SIP/2.0 486 Busy Here",
            _ => "SIP/2.0 200 OK",
        };
        let contact = self.dialog.contact();
        transaction.respond(&transaction.response(202, "Accepted").with("Contact", contact));
        let id = transaction.request.cseq;
        for (state, line) in
            [("active;expires=60", "SIP/2.0 100 Trying"), ("terminated;reason=noresource", result)]
        {
            let notify = |request: Message| {
                request
                    .with("Event", format!("refer;id={id}"))
                    .with("Subscription-State", state)
                    .with_body("message/sipfrag;version=2.0", format!("{line}\r\n"))
            };
            self.request("NOTIFY", notify).await?;
        }
        Ok(())
    }
}

fn reason(message: &Message) -> Option<String> {
    message.header("Reason").map(str::to_owned)
}

/// The key in `Signal=5` of an application/dtmf-relay body, or the whole of an application/dtmf one.
fn dtmf_relay(message: &Message) -> Option<char> {
    let text = String::from_utf8_lossy(&message.body).into_owned();
    let content_type = message.header("Content-Type")?.to_ascii_lowercase();
    let signal = match content_type.split(';').next()?.trim() {
        "application/dtmf-relay" => {
            text.lines().find_map(|line| line.trim().strip_prefix("Signal="))?.to_owned()
        }
        "application/dtmf" => text,
        _ => return None,
    };
    let key = signal.trim().chars().next()?.to_ascii_uppercase();
    "0123456789*#ABCD".contains(key).then_some(key)
}
