//! PJSUA in this process, and a peer that says what a test wants it to say.

use super::Lib;
use pjsip_sys::*;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, UdpSocket};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// The status with which the last call has ended, or 0.
static ENDED: AtomicI32 = AtomicI32::new(0);

unsafe extern "C" fn on_call_state(call: pjsua_call_id, _: *mut pjsip_event) {
    let mut info = MaybeUninit::<pjsua_call_info>::zeroed();
    // SAFETY: the information is plain data, filled when the function succeeds.
    unsafe {
        if pjsua_call_get_info(call, info.as_mut_ptr()) == 0
            && (*info.as_ptr()).state == PJSIP_INV_STATE_DISCONNECTED
        {
            ENDED.store((*info.as_ptr()).last_status as i32, Ordering::SeqCst);
        }
    }
}

/// A SIP message as the peer has received it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) text: String,
    pub(crate) from: SocketAddr,
}

impl Message {
    pub(crate) fn start(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let prefix = format!("{name}: ");
        self.text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default()
    }
}

pub(crate) const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                                 m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

/// PJSUA with one account, and the peer on a socket of the test.
pub(crate) struct Phone {
    pub(crate) lib: Lib,
    pub(crate) account: pjsua_acc_id,
    socket: UdpSocket,
    received: Vec<Message>,
    sequence: u32,
}

impl Phone {
    /// Registers with the peer if `registers`.
    pub(crate) fn new(registers: bool) -> Self {
        Self::with(registers, |_| ())
    }

    /// With settings of the test's own.
    pub(crate) fn with(registers: bool, set: impl FnOnce(&mut pjsua_config)) -> Self {
        let lib = Lib::new();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let port = socket.local_addr().unwrap().port();
        ENDED.store(0, Ordering::SeqCst);
        let mut account = -1;
        // SAFETY: the settings are initialised by PJSUA's own functions and are copied; this thread
        // makes all calls.
        unsafe {
            assert_eq!(pjsua_create(), 0);
            let mut config: pjsua_config = std::mem::zeroed();
            pjsua_config_default(&mut config);
            config.thread_cnt = 0;
            config.cb.on_call_state = Some(on_call_state);
            set(&mut config);
            let mut logging: pjsua_logging_config = std::mem::zeroed();
            pjsua_logging_config_default(&mut logging);
            logging.level = 0;
            logging.console_level = 0;
            let mut media: pjsua_media_config = std::mem::zeroed();
            pjsua_media_config_default(&mut media);
            media.thread_cnt = 0;
            // Nothing is resampled in PJMEDIA.
            media.clock_rate = 8000;
            assert_eq!(pjsua_init(&config, &logging, &media), 0);
            pjsua_set_no_snd_dev();
            let mut transport: pjsua_transport_config = std::mem::zeroed();
            pjsua_transport_config_default(&mut transport);
            transport.bound_addr = lib.text("127.0.0.1");
            let mut id = -1;
            assert_eq!(pjsua_transport_create(PJSIP_TRANSPORT_UDP, &transport, &mut id), 0);
            assert_eq!(pjsua_start(), 0);
            let mut setting: pjsua_acc_config = std::mem::zeroed();
            pjsua_acc_config_default(&mut setting);
            setting.id = lib.text("sip:caller@127.0.0.1");
            setting.transport_id = id;
            if registers {
                setting.reg_uri = lib.text(&format!("sip:127.0.0.1:{port}"));
            }
            assert_eq!(pjsua_acc_add(&setting, 1, &mut account), 0);
        }
        Phone { lib, account, socket, received: Vec::new(), sequence: 0 }
    }

    /// Runs PJSUA and collects what it sends, for one step.
    pub(crate) fn step(&mut self) {
        // SAFETY: this thread makes all calls.
        unsafe { pjsua_handle_events(10) };
        let mut packet = [0; 8000];
        while let Ok((length, from)) = self.socket.recv_from(&mut packet) {
            let text = String::from_utf8_lossy(&packet[..length]).into_owned();
            if text.trim().is_empty() {
                continue;
            }
            self.received.push(Message { text, from });
        }
    }

    /// The first message, not asked for yet, that begins like this.
    pub(crate) fn expect(&mut self, start: &str) -> Message {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(index) = self.received.iter().position(|m| m.start().starts_with(start)) {
                return self.received.remove(index);
            }
            let got: Vec<&str> = self.received.iter().map(Message::start).collect();
            assert!(Instant::now() < deadline, "no {start}, only {got:?}");
            self.step();
        }
    }

    /// Runs until `done`.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(Instant::now() < deadline, "{what}");
            self.step();
        }
    }

    /// Runs on, and gives the start lines of all that was not asked for.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        for _ in 0..30 {
            self.step();
        }
        self.received.iter().map(|m| m.start().to_owned()).collect()
    }

    pub(crate) fn ended(&mut self) -> i32 {
        let deadline = Instant::now() + Duration::from_secs(20);
        while ENDED.load(Ordering::SeqCst) == 0 {
            assert!(Instant::now() < deadline, "the call goes on");
            self.step();
        }
        ENDED.load(Ordering::SeqCst)
    }

    pub(crate) fn dial(&mut self) -> Message {
        let port = self.socket.local_addr().unwrap().port();
        let callee = self.lib.text(&format!("sip:callee@127.0.0.1:{port}"));
        let mut setting = MaybeUninit::<pjsua_call_setting>::zeroed();
        let (none, mut call) = (ptr::null_mut(), -1);
        // SAFETY: the setting is initialised by PJSUA and copied.
        unsafe {
            pjsua_call_setting_default(setting.as_mut_ptr());
            (*setting.as_mut_ptr()).txt_cnt = 0;
            (*setting.as_mut_ptr()).vid_cnt = 0;
            let status =
                pjsua_call_make_call(self.account, &callee, setting.as_ptr(), none, ptr::null(), &mut call);
            assert_eq!(status, 0);
        }
        self.expect("INVITE")
    }

    /// Answers a request; `extra` are whole header lines.
    pub(crate) fn respond(&self, request: &Message, status: &str, extra: &str, body: &str) {
        let mut text = format!("SIP/2.0 {status}\r\nVia: {}\r\n", request.header("Via"));
        let tag = if request.header("To").contains("tag=") { "" } else { ";tag=peer" };
        text += &format!("From: {}\r\nTo: {}{tag}\r\n", request.header("From"), request.header("To"));
        text += &format!("Call-ID: {}\r\nCSeq: {}\r\n", request.header("Call-ID"), request.header("CSeq"));
        self.send(request.from, &(text + extra), body);
    }

    fn send(&self, to: SocketAddr, head: &str, body: &str) {
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!("{head}{kind}Content-Length: {}\r\n\r\n{body}", body.len());
        self.socket.send_to(text.as_bytes(), to).unwrap();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(crate) fn contact(&self) -> String {
        format!("Contact: <sip:callee@{}>\r\n", self.socket.local_addr().unwrap())
    }

    /// Dials, is answered, and has sent its ACK.
    pub(crate) fn talk(&mut self) -> Message {
        let invite = self.dial();
        self.respond(&invite, "200 OK", &self.contact(), ANSWER);
        self.expect("ACK");
        invite
    }

    /// A request of the peer, inside the dialog of `invite` or beside it.
    pub(crate) fn request(&mut self, method: &str, invite: &Message, inside: bool, extra: &str, body: &str) {
        // An ACK has the number of its INVITE.
        self.sequence += u32::from(method != "ACK");
        let to = self.socket.local_addr().unwrap();
        let number = self.sequence;
        let mut text = format!("{method} sip:caller@{} SIP/2.0\r\nMax-Forwards: 70\r\n", invite.from);
        text += &format!("Via: SIP/2.0/UDP {to};branch=z9hG4bKpeer{number}\r\n");
        if inside {
            text += &format!("From: {};tag=peer\r\nTo: {}\r\n", invite.header("To"), invite.header("From"));
            text += &format!("Call-ID: {}\r\n", invite.header("Call-ID"));
        } else {
            text +=
                &format!("From: <sip:x@{to}>;tag=x\r\nTo: <sip:caller@127.0.0.1>\r\nCall-ID: x{number}\r\n");
        }
        text += &format!("CSeq: {number} {method}\r\n");
        if !extra.contains("Contact:") {
            text += &self.contact();
        }
        self.send(invite.from, &(text + extra), body);
    }

    /// A call begins and ends.
    pub(crate) fn is_alive(&mut self) {
        let invite = self.dial();
        self.respond(&invite, "486 Busy Here", "", "");
        self.expect("ACK");
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        // SAFETY: nothing of PJSUA is used afterwards; nobody is told, the peer does not answer.
        unsafe { pjsua_destroy2(PJSUA_DESTROY_NO_NETWORK) };
    }
}
