//! A far end whose dialog and media a test steers: registrar and callee over UDP, by messages that are made here.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::stranger::Received;
use super::{srtp, within};

/// A callee that answers at once. It ends with the test.
pub struct FarEnd {
    socket: Arc<UdpSocket>,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    responses: UnboundedReceiver<Received>,
    calls: UnboundedReceiver<SocketAddr>,
    task: JoinHandle<()>,
}

/// How it answers.
struct State {
    /// Where its SDP says that it is.
    media: Option<SocketAddr>,
    direction: &'static str,
    version: u32,
    /// Its sound is encrypted, and this is the number of its `a=crypto`: that of the offer (RFC 4568 section 5.1.2).
    crypto: Option<u8>,
    /// Media of the session so far: none goes away any more, it can only be declined (RFC 3264 section 8).
    media_lines: usize,
    /// The body of its next answer to an offer, in place of an SDP that is in order.
    odd_answer: Option<Vec<u8>>,
    /// Header lines of its 200 to INVITE and UPDATE.
    headers: String,
    /// How it answers calls: with a 200, a refusal, or `180 Ringing` till it is told to pick up.
    status: &'static str,
    /// A call that rings, with where it is from.
    ringing: Option<(Received, SocketAddr)>,
    /// One for each call.
    dialogs: Vec<Dialog>,
    /// The one that its requests belong to; the last if none is said.
    current: Option<usize>,
    sequence: u32,
    /// The requests that came, repetitions too, by method; an INVITE or UPDATE of a dialog as `re-INVITE`, `re-UPDATE`.
    seen: Vec<(String, Received)>,
}

#[derive(Clone)]
struct Dialog {
    from: SocketAddr,
    contact: String,
    /// Our own name in it and theirs, as From and To of our requests.
    ours: String,
    theirs: String,
    call_id: String,
}

impl FarEnd {
    /// Listens on `ip`.
    pub async fn on(ip: IpAddr) -> Self {
        Self::at(UdpSocket::bind((ip, 0)).await.expect("loopback has ports"))
    }

    /// At this socket.
    pub fn at(socket: UdpSocket) -> Self {
        let (socket, address) = (Arc::new(socket), SocketAddr::from(([0, 0, 0, 0], 0)));
        let address = socket.local_addr().unwrap_or(address);
        let state = State {
            media: None,
            direction: "sendrecv",
            version: 1,
            crypto: None,
            media_lines: 1,
            odd_answer: None,
            headers: String::new(),
            status: "200 OK",
            ringing: None,
            dialogs: Vec::new(),
            current: None,
            sequence: 0,
            seen: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let (responses_in, responses) = unbounded_channel();
        let (calls_in, calls) = unbounded_channel();
        let task = tokio::spawn(serve(Arc::clone(&socket), Arc::clone(&state), responses_in, calls_in));
        Self { socket, address, state, responses, calls, task }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().expect("no test panics in here"))
    }

    /// What the SDP of its answers and offers says from now on.
    pub fn media_at(&self, media: SocketAddr) {
        self.with(|state| {
            (state.media, state.version) = (Some(media), state.version + 1);
        });
    }

    /// `sendrecv`, `inactive` and the like, from now on.
    pub fn direction(&self, direction: &'static str) {
        self.with(|state| (state.direction, state.version) = (direction, state.version + 1));
    }

    /// Its sound is encrypted.
    pub fn encrypts(&self) {
        self.with(|state| state.crypto = Some(1));
    }

    /// What its SDP says.
    pub fn sdp(&self) -> String {
        self.with(|state| sdp(state))
    }

    /// The next answer to a re-INVITE has this body.
    pub fn answer_oddly(&self, body: Vec<u8>) {
        self.with(|state| state.odd_answer = Some(body));
    }

    /// Sends an offer, right or wrong, by INVITE or UPDATE. Returns the final response, an INVITE's acknowledged.
    pub async fn offer(&mut self, method: &str, body: &[u8]) -> Received {
        let response = self.send(method, "Content-Type: application/sdp\r\n", body).await;
        self.with(|state| state.media_lines = state.media_lines.max(response.media_lines()));
        response
    }

    /// Further header lines of its 200s.
    pub fn headers(&self, lines: &str) {
        self.with(|state| lines.clone_into(&mut state.headers));
    }

    /// How it answers further calls: `200 OK`, `486 Busy Here`, or `180 Ringing` until it picks up.
    pub fn answers_with(&self, status: &'static str) {
        self.with(|state| state.status = status);
    }

    /// Picks up the call that rings.
    pub async fn pick_up(&self) {
        let (answer, from) = self.with(|state| {
            let (invite, from) = state.ringing.take().expect("a call rings");
            let sdp = sdp(state);
            (invite.respond("200 OK", &state.headers, sdp.as_bytes()), from)
        });
        self.socket.send_to(&answer, from).await.expect("loopback");
    }

    /// Its requests belong to this call from now on, counted from 0.
    pub fn speak_in(&self, call: usize) {
        self.with(|state| state.current = Some(call));
    }

    /// Asks for the call to be moved, and returns the status of the answer.
    pub async fn refer(&mut self, refer_to: &str) -> String {
        let response = self.send("REFER", &format!("Refer-To: {refer_to}\r\n"), b"").await;
        response.status().to_owned()
    }

    /// What it was told of the calls that it asked to be moved: the last line of each NOTIFY, in order.
    pub fn told(&self) -> Vec<String> {
        self.with(|state| {
            let mut sequence = Vec::new();
            let notifies = state.seen.iter().filter(|(seen, _)| seen == "NOTIFY");
            let mut told = Vec::new();
            for (_, notify) in notifies {
                // Repetitions are no news.
                if !sequence.contains(&notify.header("CSeq")) {
                    sequence.push(notify.header("CSeq"));
                    let state = notify.header("Subscription-State").split(';').next().unwrap_or_default();
                    told.push(format!("{} {state}", notify.body().trim().trim_start_matches("SIP/2.0 ")));
                }
            }
            told
        })
    }

    /// Waits until a move is over, and returns all that it was told of it.
    pub async fn told_to_the_end(&self) -> Vec<String> {
        let told = async {
            loop {
                let told = self.told();
                if told.last().is_some_and(|last| last.ends_with(" terminated")) {
                    return told;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within("the last NOTIFY", told).await
    }

    /// How many calls came.
    pub fn calls(&self) -> usize {
        self.with(|state| {
            let invites = state.seen.iter().filter(|(seen, _)| seen == "INVITE");
            invites.map(|(_, invite)| invite.header("Call-ID")).collect::<HashSet<_>>().len()
        })
    }

    /// How many requests of this kind came.
    pub fn count(&self, kind: &str) -> usize {
        self.with(|state| state.seen.iter().filter(|(seen, _)| seen == kind).count())
    }

    /// Waits for a request of this kind.
    pub async fn got(&self, kind: &str) -> Received {
        let came = async {
            loop {
                let found = self.with(|state| {
                    let mut seen = state.seen.iter().rev();
                    seen.find(|(seen, _)| seen == kind).map(|(_, message)| message.clone())
                });
                if let Some(found) = found {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within(kind, came).await
    }

    /// Tells how a transfer goes: `100 Trying`, and `200 OK` as the last word (RFC 3515).
    pub async fn notify(&mut self, status: &str, last: bool) {
        let state = if last { "terminated;reason=noresource" } else { "active;expires=60" };
        let headers = format!(
            "Event: refer\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag;version=2.0\r\n"
        );
        let response = self.send("NOTIFY", &headers, format!("SIP/2.0 {status}\r\n").as_bytes()).await;
        assert!(response.status().starts_with("200"), "{}", response.status());
    }

    /// Hangs up.
    pub async fn bye(&mut self) {
        self.send("BYE", "", b"").await;
    }

    /// Waits for the next call and tells where its SDP wants the sound to.
    pub async fn called(&mut self) -> SocketAddr {
        within("the INVITE", self.calls.recv()).await.expect("it serves")
    }

    /// Sends a re-INVITE with an offer, and acknowledges the 200 that must come. Returns where the caller's SDP wants the
    /// sound to.
    pub async fn reinvite(&mut self) -> SocketAddr {
        // The caller's end stays the one that refreshes the session.
        let (sdp, headers) =
            self.with(|state| (sdp(state), state.headers.replace("refresher=uac", "refresher=uas")));
        let headers = format!("{headers}Content-Type: application/sdp\r\n");
        let response = self.send("INVITE", &headers, sdp.as_bytes()).await;
        assert!(response.status().starts_with("200"), "{}", response.status());
        response.media().expect("an answer in the 200")
    }

    /// Sends a request within the dialog and returns its final response, acknowledged if it is an INVITE.
    async fn send(&mut self, method: &str, headers: &str, body: &[u8]) -> Received {
        let (dialog, sequence) = self.with(|state| {
            state.sequence += 1;
            let last = state.dialogs.len().checked_sub(1).expect("a call is up");
            (state.dialogs[state.current.unwrap_or(last)].clone(), state.sequence)
        });
        let branch = format!("{sequence}{method}");
        let message = message(method, (sequence, &branch), &dialog, self.address, headers, body);
        let cseq = format!("{sequence} {method}");
        let transaction = async {
            loop {
                self.socket.send_to(&message, dialog.from).await.expect("loopback");
                let repeat = tokio::time::sleep(Duration::from_millis(500));
                tokio::pin!(repeat);
                loop {
                    tokio::select! {
                        () = &mut repeat => break,
                        response = self.responses.recv() => {
                            let response = response.expect("it serves");
                            if response.header("CSeq") == cseq && !response.status().starts_with('1') {
                                return response;
                            }
                        }
                    }
                }
            }
        };
        let response = within("the response", transaction).await;
        if method == "INVITE" {
            // The ACK of a refusal belongs to the INVITE's transaction (RFC 3261 §17.1.1.3).
            let branch = if response.status().starts_with('2') { format!("{sequence}ACK") } else { branch };
            let ack = self::message("ACK", (sequence, &branch), &dialog, self.address, "", b"");
            self.socket.send_to(&ack, dialog.from).await.expect("loopback");
        }
        response
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    socket: Arc<UdpSocket>,
    state: Arc<Mutex<State>>,
    responses: UnboundedSender<Received>,
    calls: UnboundedSender<SocketAddr>,
) {
    let us = socket.local_addr().expect("it is bound");
    let mut packet = vec![0; 65_536];
    while let Ok((length, from)) = socket.recv_from(&mut packet).await {
        let message = Received::new(&packet[..length], us);
        if message.method() == "SIP/2.0" {
            let _ = responses.send(message);
            continue;
        }
        let (answers, call) = {
            let mut state = state.lock().expect("no test panics in here");
            respond(&mut state, &message, from)
        };
        for answer in answers {
            let _ = socket.send_to(&answer, from).await;
        }
        if let Some(call) = call {
            let _ = calls.send(call);
        }
    }
}

/// What it says to a request; and where the caller wants the sound to, if it is a call.
fn respond(state: &mut State, message: &Received, from: SocketAddr) -> (Vec<Vec<u8>>, Option<SocketAddr>) {
    let method = message.method();
    let known = if message.is_inside() && matches!(method, "INVITE" | "UPDATE") { "re-" } else { "" };
    state.seen.push((format!("{known}{method}"), message.clone()));
    match method {
        "ACK" => (Vec::new(), None),
        "INVITE" => {
            let first = !message.is_inside();
            if first && !state.status.starts_with(['1', '2']) {
                return (vec![message.respond(state.status, "", b"")], None);
            }
            let known = state.dialogs.iter().any(|dialog| dialog.call_id == message.header("Call-ID"));
            if first && !known {
                state.dialogs.push(Dialog {
                    from,
                    contact: message.contact().to_owned(),
                    ours: format!("{};tag=stranger", message.header("To")),
                    theirs: message.header("From").to_owned(),
                    call_id: message.header("Call-ID").to_owned(),
                });
            }
            if first && state.status.starts_with('1') {
                state.ringing = Some((message.clone(), from));
                return (vec![message.respond(state.status, "", b"")], message.media());
            }
            let offered =
                message.crypto(srtp::SUITE).and_then(|crypto| crypto.split(' ').next()?.parse().ok());
            state.crypto = state.crypto.map(|number| offered.unwrap_or(number));
            state.media_lines = state.media_lines.max(message.media_lines());
            let odd = state.odd_answer.take_if(|_| !first);
            let sdp = odd.unwrap_or_else(|| sdp(state).into_bytes());
            let answer = message.respond("200 OK", &state.headers, &sdp);
            (vec![answer], message.media().filter(|_| first))
        }
        "CANCEL" => {
            let over =
                state.ringing.take().map(|(invite, _)| invite.respond("487 Request Terminated", "", b""));
            (std::iter::once(message.respond("200 OK", "", b"")).chain(over).collect(), None)
        }
        "REFER" => (vec![message.respond("202 Accepted", "", b"")], None),
        "UPDATE" => (vec![message.respond("200 OK", &state.headers, b"")], None),
        "REGISTER" => {
            let expires = message.header("Expires");
            let contact = format!("Contact: {};expires={expires}\r\n", message.header("Contact"));
            (vec![message.respond("200 OK", &contact, b"")], None)
        }
        _ => (vec![message.respond("200 OK", "", b"")], None),
    }
}

fn sdp(state: &State) -> String {
    let media = state.media.expect("the test says where its media is");
    let family = if media.is_ipv4() { "IP4" } else { "IP6" };
    let profile = if state.crypto.is_some() { "RTP/SAVP" } else { "RTP/AVP" };
    let line = |number| format!("a=crypto:{number} {} {}\r\n", srtp::SUITE, srtp::OURS);
    let crypto = state.crypto.map(line).unwrap_or_default();
    let declined = format!("m=audio 0 {profile} 0\r\n").repeat(state.media_lines.saturating_sub(1));
    format!(
        "v=0\r\no=- 1 {} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {} {profile} 0\r\n\
         a=rtpmap:0 PCMU/8000\r\n{crypto}a={}\r\n{declined}",
        state.version,
        media.port(),
        state.direction,
        ip = media.ip(),
    )
}

/// The numbers are that of CSeq, and what the branch begins with.
fn message(
    method: &str,
    (sequence, branch): (u32, &str),
    dialog: &Dialog,
    us: SocketAddr,
    headers: &str,
    body: &[u8],
) -> Vec<u8> {
    let head = format!(
        "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK{branch}{}\r\nMax-Forwards: 70\r\n\
         From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {sequence} {method}\r\nContact: <sip:far@{us}>\r\n{headers}\
         Content-Length: {}\r\n\r\n",
        dialog.contact,
        dialog.call_id,
        dialog.ours,
        dialog.theirs,
        dialog.call_id,
        body.len(),
    );
    [head.as_bytes(), body].concat()
}
