//! PJSUA as it comes, for comparison: its conference bridge with a clock of its own, its UDP media transport with a
//! thread that polls it. `conference_caller SIP-ADDRESS CALLS` calls so often, plays a tone into all calls, takes what
//! comes back, and goes on until it is killed. `benches/compare.sh` measures it.
//!
//! What is compiled in is ours: optimisation, epoll without re-arming, no echo canceller and no silence detector.

use pjsip_sys::*;
use std::error::Error;
use std::ffi::CString;
use std::fs;
use std::sync::atomic::{AtomicI32, AtomicU16, Ordering};

const RATE: u32 = 8_000;
static PLAYER: AtomicI32 = AtomicI32::new(-1);
static NEXT_PORT: AtomicU16 = AtomicU16::new(42_000);

/// A second of 400 Hz as a WAV file.
fn tone() -> Vec<u8> {
    let samples = (0..RATE).flat_map(|n| {
        let phase = f64::from(n) * 400.0 / f64::from(RATE) * std::f64::consts::TAU;
        ((phase.sin() * 8_000.0) as i16).to_le_bytes()
    });
    let samples: Vec<u8> = samples.collect();
    let number = |n: u32| n.to_le_bytes();
    let length = samples.len() as u32;
    let head: [&[u8]; 9] = [
        b"RIFF",
        &number(36 + length),
        b"WAVEfmt ",
        &number(16),
        &[1, 0, 1, 0],
        &number(RATE),
        &number(RATE * 2),
        &[2, 0, 16, 0],
        b"data",
    ];
    [head.concat(), number(length).to_vec(), samples].concat()
}

/// Without this PJSUA's calls would have the transport that outdial's media clock reads, and nobody would read it.
unsafe extern "C" fn on_create_media_transport(
    _call: pjsua_call_id,
    _media: u32,
    base: *mut pjmedia_transport,
    _flags: u32,
) -> *mut pjmedia_transport {
    // SAFETY: PJSUA hands its transport over and takes ours; the address is text that outlives the call.
    unsafe {
        let host = pj_str_t { ptr: c"127.0.0.1".as_ptr().cast_mut(), slen: 9 };
        let mut transport = std::ptr::null_mut();
        for _ in 0..1_000 {
            let port = NEXT_PORT.fetch_add(2, Ordering::Relaxed);
            let endpoint = pjsua_get_pjmedia_endpt();
            let name = c"plain".as_ptr();
            if pjmedia_transport_udp_create2(endpoint, name, &host, port.into(), 0, &mut transport) == 0 {
                (*(*base).op).destroy.unwrap()(base);
                return transport;
            }
        }
        base
    }
}

unsafe extern "C" fn on_call_media_state(call: pjsua_call_id) {
    // SAFETY: PJSUA fills the record, which is plain data, and checks slots.
    unsafe {
        let mut info: pjsua_call_info = std::mem::zeroed();
        if pjsua_call_get_info(call, &mut info) == 0 && info.media_status == PJSUA_CALL_MEDIA_ACTIVE {
            pjsua_conf_connect(pjsua_player_get_conf_port(PLAYER.load(Ordering::Relaxed)), info.conf_slot);
            pjsua_conf_connect(info.conf_slot, 0);
        }
    }
}

fn check(what: &str, status: pj_status_t) -> Result<(), String> {
    if status == 0 { Ok(()) } else { Err(format!("{what}: {status}")) }
}

fn text(text: &CString) -> pj_str_t {
    pj_str_t { ptr: text.as_ptr().cast_mut(), slen: text.as_bytes().len() as pj_ssize_t }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(callee), Some(calls)) = (arguments.next(), arguments.next()) else {
        return Err("usage: conference_caller SIP-ADDRESS CALLS".into());
    };
    let calls: u32 = calls.parse()?;
    let file = std::env::temp_dir().join(format!("conference-caller-{}.wav", std::process::id()));
    fs::write(&file, tone())?;
    let wav = CString::new(file.to_str().ok_or("a path that is no text")?)?;
    let target = CString::new(format!("sip:1@{callee}"))?;
    // SAFETY: PJSUA is used from this thread only; records are plain data that its functions fill before they are used,
    // and texts live as long as this function.
    unsafe {
        check("pjsua_create", pjsua_create())?;
        let mut ua: pjsua_config = std::mem::zeroed();
        pjsua_config_default(&mut ua);
        ua.max_calls = calls;
        ua.thread_cnt = 0;
        ua.cb.on_call_media_state = Some(on_call_media_state);
        ua.cb.on_create_media_transport = Some(on_create_media_transport);
        let mut logging: pjsua_logging_config = std::mem::zeroed();
        pjsua_logging_config_default(&mut logging);
        (logging.level, logging.console_level) = (0, 0);
        let mut media: pjsua_media_config = std::mem::zeroed();
        pjsua_media_config_default(&mut media);
        (media.clock_rate, media.snd_clock_rate) = (RATE, RATE);
        media.max_media_ports = calls + 8;
        media.no_vad = 1;
        media.ec_tail_len = 0;
        check("pjsua_init", pjsua_init(&ua, &logging, &media))?;
        let mut transport: pjsua_transport_config = std::mem::zeroed();
        pjsua_transport_config_default(&mut transport);
        let host = CString::new("127.0.0.1")?;
        transport.bound_addr = text(&host);
        let mut id = 0;
        check("udp", pjsua_transport_create(PJSIP_TRANSPORT_UDP, &transport, &mut id))?;
        check("pjsua_start", pjsua_start())?;
        let mut account = 0;
        check("account", pjsua_acc_add_local(id, 1, &mut account))?;
        check("null device", pjsua_set_null_snd_dev())?;
        let mut player = 0;
        check("player", pjsua_player_create(&text(&wav), 0, &mut player))?;
        PLAYER.store(player, Ordering::Relaxed);
        // Its memory without calls is looked at meanwhile.
        for _ in 0..40 {
            pjsua_handle_events(50);
        }
        for _ in 0..calls {
            let mut setting: pjsua_call_setting = std::mem::zeroed();
            pjsua_call_setting_default(&mut setting);
            (setting.vid_cnt, setting.txt_cnt) = (0, 0);
            let none = std::ptr::null_mut();
            let status = pjsua_call_make_call(
                account,
                &text(&target),
                &setting,
                none,
                std::ptr::null(),
                std::ptr::null_mut(),
            );
            check("call", status)?;
            pjsua_handle_events(10);
        }
        fs::remove_file(&file)?;
        loop {
            pjsua_handle_events(50);
        }
    }
}
