//! PJSUA itself: one per process, owned by the control thread.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;
use pjsip_sys as sys;

use super::error::{PjError, check};
use super::event::PjEvent;
use super::record::filled;
use super::resolver::Questions;
use super::wake::WakeSocket;
use super::wire::{Gate, WireModule};
use super::{Waker, callbacks, codec, event, log, offer, refer, strings};

/// Sampling rate of the conference bridge, which nobody listens to; it is what its ports are made for.
const BRIDGE_RATE: u32 = 8000;
/// Samples of a bridge frame: 20 ms.
const BRIDGE_FRAME: u32 = BRIDGE_RATE / 50;

/// How to start.
#[derive(Debug, Clone)]
pub(crate) struct InstanceSettings {
    /// The User-Agent header (RFC 3261 §20.41).
    pub(crate) user_agent: String,
    /// Calls at the same time; each slot costs memory, used or not.
    pub(crate) max_calls: u32,
    /// T1, T2 and T4 (RFC 3261 §17, table 4).
    pub(crate) timers: (Duration, Duration, Duration),
    /// How often a double CRLF goes over each connection of TCP and TLS (RFC 5626 §3.5.1); zero for never.
    pub(crate) keep_alive: Duration,
    /// What every message that comes in is judged by.
    pub(crate) gate: Gate,
}

/// Taken while PJSUA runs: its state is static.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The pool factory's memory for null ports, while PJSUA runs.
static PORT_POOL: AtomicPtr<sys::pj_pool_t> = AtomicPtr::new(ptr::null_mut());

/// Claims PJSUA for one owner and gives it back when dropped, also when the start failed half-way.
struct Claim;

impl Claim {
    fn take() -> Option<Self> {
        // Not `then_some`: a claim that is made and not handed out would be dropped, and give away another's.
        (!TAKEN.swap(true, Ordering::AcqRel)).then(|| Self)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        TAKEN.store(false, Ordering::Release);
    }
}

/// Runs `pjsua_destroy` when dropped.
struct Created;

impl Drop for Created {
    #[doc(alias = "pjsua_destroy2")]
    fn drop(&mut self) {
        let pool = PORT_POOL.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: PJSUA was created on this thread and nobody uses it any more. Orderly goodbyes (BYE, REGISTER with
        // Expires 0) have been said before; here nothing waits for the network. Ports have pools of their own: ours
        // holds nothing that they use.
        unsafe {
            if !pool.is_null() {
                sys::pjsys_pool_release(pool);
            }
            sys::pjsua_destroy2(sys::PJSUA_DESTROY_NO_NETWORK);
        }
        event::install(None);
    }
}

/// A running PJSUA. Fields are dropped in the order in which they stand, and it matters.
pub(crate) struct Instance {
    /// Unregisters from the I/O queue, which `_created` destroys.
    wake: Option<WakeSocket>,
    /// Answers what PJSIP asks till the end, and says no at the end.
    questions: Option<Questions>,
    _created: Created,
    /// Linked into the endpoint until `_created` destroys it.
    wire: Option<WireModule>,
    /// Released last of all.
    _claim: Claim,
    /// PJSUA is used from the thread that created it.
    _not_send: PhantomData<*mut ()>,
}

/// Why PJSUA did not start.
#[derive(Debug)]
pub(crate) enum StartFailure {
    /// It runs already in this process.
    AlreadyRunning,
    /// PJSIP refused.
    Pj(PjError),
}

impl From<PjError> for StartFailure {
    fn from(error: PjError) -> Self {
        Self::Pj(error)
    }
}

impl Instance {
    /// Starts PJSUA on this thread. All that happens is sent to `events`.
    #[doc(alias = "pjsua_create")]
    #[doc(alias = "pjsua_init")]
    #[doc(alias = "pjsua_start")]
    pub(crate) fn start(
        settings: &InstanceSettings,
        events: Sender<PjEvent>,
    ) -> Result<(Self, Waker), StartFailure> {
        let claim = Claim::take().ok_or(StartFailure::AlreadyRunning)?;
        event::install(Some(events));
        // SAFETY: PJLIB's log may be set before anything else; the function is `extern "C"` and never unwinds.
        // PJSUA prints to standard output until it knows its own log, so the level stays at 0 till then.
        unsafe {
            sys::pj_log_set_log_func(Some(log::write));
            sys::pj_log_set_level(0);
        }
        // SAFETY: nothing else uses PJSUA, `claim` says so.
        check("pjsua_create", unsafe { sys::pjsua_create() })?;
        let mut instance = Self {
            wake: None,
            questions: None,
            _created: Created,
            wire: None,
            _claim: claim,
            _not_send: PhantomData,
        };
        let waker = instance.initialise(settings)?;
        Ok((instance, waker))
    }

    fn initialise(&mut self, settings: &InstanceSettings) -> Result<Waker, PjError> {
        set_timers(settings.timers, settings.keep_alive);
        init(settings)?;
        // SAFETY: PJSUA is initialised; endpoint, I/O queue and pools live until `_created` is dropped.
        let (endpoint, pool) = unsafe {
            let endpoint = sys::pjsua_get_pjsip_endpt();
            (endpoint, sys::pjsua_pool_create(c"outdial".as_ptr(), 1024, 1024))
        };
        if pool.is_null() {
            return Err(PjError { operation: "pjsua_pool_create", status: 0, text: "out of memory".into() });
        }
        PORT_POOL.store(pool, Ordering::Release);
        self.wire = Some(WireModule::register(endpoint, settings.gate)?);
        self.questions = Some(Questions::take_over(endpoint)?);
        // SAFETY: the endpoint runs.
        let ioqueue = unsafe { sys::pjsip_endpt_get_ioqueue(endpoint) };
        let (wake, waker) = WakeSocket::register(pool, ioqueue)?;
        self.wake = Some(wake);
        event::install_waker(waker.clone());
        codec::set_up_for_speech()?;
        offer::install(codec::compiled_in()?);
        refer::install();
        // SAFETY: PJSUA is initialised. The returned port of the bridge is never used: the bridge has no clock.
        unsafe { sys::pjsua_set_no_snd_dev() };
        // SAFETY: as above.
        check("pjsua_start", unsafe { sys::pjsua_start() })?;
        Ok(waker)
    }

    /// Does what is due and waits at most `timeout` for more.
    #[doc(alias = "pjsua_handle_events")]
    pub(crate) fn poll(&self, timeout: Duration) {
        let timeout = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        // SAFETY: PJSUA runs, and this is the only thread that polls it.
        unsafe { sys::pjsua_handle_events(timeout) };
    }
}

/// PJSIP reads them when its transaction layer starts, and for each connection.
fn set_timers((t1, t2, t4): (Duration, Duration, Duration), keep_alive: Duration) {
    let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    // SAFETY: PJSIP's settings are a static record; nothing but this thread uses PJSIP, which has not started.
    unsafe {
        let config = &mut *sys::pjsys_sip_cfg();
        let keep_alive = i64::try_from(keep_alive.as_secs()).unwrap_or(i64::MAX);
        (config.tcp.keep_alive_interval, config.tls.keep_alive_interval) = (keep_alive, keep_alive);
        let settings = &mut config.tsx;
        (settings.t1, settings.t2, settings.t4) = (ms(t1), ms(t2), ms(t4));
        // Timers B, D, F, H: 32 s with the usual T1.
        settings.td = ms(t1 * 64);
    }
}

fn init(settings: &InstanceSettings) -> Result<(), PjError> {
    // SAFETY: records of numbers, texts and functions, for which zeros are valid; the functions fill them.
    let (mut ua, mut logging, mut media) = unsafe {
        (
            filled(|ua| sys::pjsua_config_default(ua)),
            filled(|logging| sys::pjsua_logging_config_default(logging)),
            filled(|media| sys::pjsua_media_config_default(media)),
        )
    };
    ua.max_calls = settings.max_calls;
    // The control thread polls; a second one would only wait for PJSUA's one lock.
    ua.thread_cnt = 0;
    ua.user_agent = strings::lend(&settings.user_agent);
    ua.enable_unsolicited_mwi = 0;
    ua.nat_type_in_sdp = 0;
    callbacks::install(&mut ua.cb);

    logging.level = log::level();
    logging.console_level = 0;
    logging.msg_logging = 0;
    logging.decor = sys::PJ_LOG_HAS_SENDER;
    logging.cb = Some(log::write);

    media.clock_rate = BRIDGE_RATE;
    media.snd_clock_rate = BRIDGE_RATE;
    media.channel_count = 1;
    media.audio_frame_ptime = 20;
    media.max_media_ports = settings.max_calls + 2;
    // Nothing of PJMEDIA's waits for a socket: the media clock reads them.
    media.has_ioqueue = 0;
    media.thread_cnt = 0;
    media.no_vad = 1;
    media.ec_tail_len = 0;
    media.snd_auto_close_time = -1;
    // SAFETY: PJSUA copies what it keeps of the three records.
    check("pjsua_init", unsafe { sys::pjsua_init(&raw const *ua, &raw const *logging, &raw const *media) })
}

/// A port that costs nothing, for the bridge.
#[doc(alias = "pjmedia_null_port_create")]
pub(super) fn null_port() -> Option<*mut sys::pjmedia_port> {
    let pool = PORT_POOL.load(Ordering::Acquire);
    if pool.is_null() {
        return None;
    }
    let mut port = ptr::null_mut();
    // SAFETY: the pool only lends its factory, the port has a pool of its own; called on the control thread.
    let status =
        unsafe { sys::pjmedia_null_port_create(pool, BRIDGE_RATE, 1, BRIDGE_FRAME, 16, &raw mut port) };
    (status == 0).then_some(port)
}
