//! A call's sound on PJSIP's side: its stream, pinned, and our two queues.

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use pjsip_sys as sys;

use super::event::{CallKey, PjEvent, emit_and_wake};
use crate::audio::dtmf::{Detector, Digit, Tones};
use crate::audio::{DuplexSink, ListenSink, PlayoutSource, SampleRate};

/// The ends of a call's two queues that the media clock holds. They outlive a stream: a re-INVITE replaces it.
pub(crate) struct CallMedia {
    /// `None` once the call is over.
    queues: Mutex<Option<Queues>>,
    answered: AtomicBool,
    /// Whether the application hears what comes before the answer.
    early_media: bool,
}

/// What the clock moves a frame at a time.
pub(super) struct Queues {
    pub(super) playout: PlayoutSource,
    pub(super) listen: ListenSink,
    keys: Option<Keys>,
    recorder: Option<DuplexSink>,
}

/// Keys as tones in the sound, where the trunk has them there.
struct Keys {
    call: CallKey,
    /// Those that we press.
    tones: Tones,
    /// Hears the callee's, at the rate of the wire.
    detector: Option<Detector>,
}

impl Queues {
    /// A stream begins, at a rate that may be another than the last one's.
    pub(super) fn set_wire_rate(&mut self, rate: SampleRate) {
        self.playout.set_wire_rate(rate);
        self.listen.set_wire_rate(rate);
        if let Some(recorder) = &mut self.recorder {
            recorder.set_wire_rate(rate);
        }
        if let Some(keys) = self.keys.as_mut().filter(|keys| keys.rate() != Some(rate)) {
            keys.detector = Some(Detector::new(rate));
        }
    }

    /// Asks for the memory that the queues' next frames need: in step 0 for their records, in step 1 for the sound.
    pub(super) fn prefetch(&self, step: u32) {
        if step == 0 {
            prefetch(self.playout.record());
            prefetch(self.listen.record());
        } else {
            self.playout.look_ahead(prefetch::<[i16]>);
            self.listen.look_ahead(prefetch::<[i16]>);
        }
    }

    /// Looks for keys in a frame from the callee's end.
    pub(super) fn hear_keys(&mut self, frame: &[i16]) {
        let Some(Keys { call, detector: Some(detector), .. }) = &mut self.keys else { return };
        let key = *call;
        detector.hear(frame, |digit| emit_and_wake(PjEvent::Digit { key, digit: digit.as_char() }));
    }

    /// The next frame for the callee's end: speech, and in its place the keys that were pressed.
    pub(super) fn speak(&mut self, frame: &mut [i16], wake: &mut dyn FnMut(Waker)) {
        self.playout.pull_and(frame, wake);
        let mut keys_sound = false;
        if let Some((keys, rate)) = self.keys.as_mut().and_then(|keys| keys.rate().map(|rate| (keys, rate))) {
            keys_sound = keys.tones.are_sounding();
            keys.tones.speak(rate, frame);
        }
        if let Some(recorder) = &mut self.recorder {
            // Keys may be a PIN: no recording has them.
            recorder.spoken(if keys_sound { &[] } else { frame });
        }
    }
}

impl Keys {
    fn rate(&self) -> Option<SampleRate> {
        self.detector.as_ref().map(Detector::rate)
    }
}

/// What an application that is too slow causes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QueueCounters {
    /// Times that speech to the callee ran dry.
    pub(crate) underruns: u64,
    /// Frames from the callee that nobody took in time.
    pub(crate) frames_dropped: u64,
}

impl CallMedia {
    pub(crate) fn new(playout: PlayoutSource, listen: ListenSink, early_media: bool) -> Self {
        Self {
            queues: Mutex::new(Some(Queues { playout, listen, keys: None, recorder: None })),
            answered: AtomicBool::new(false),
            early_media,
        }
    }

    /// The keys of this call are tones in the sound, from its first stream on.
    pub(crate) fn with_keys_in_band(self, call: CallKey) -> Self {
        if let Some(queues) = self.queues().as_mut() {
            queues.keys = Some(Keys { call, tones: Tones::default(), detector: None });
        }
        self
    }

    /// Both directions are recorded from the answer on.
    pub(crate) fn with_recorder(self, recorder: DuplexSink) -> Self {
        if let Some(queues) = self.queues().as_mut() {
            queues.recorder = Some(recorder);
        }
        self
    }

    /// Lets keys sound, after those that have not sounded yet. Returns false where keys are no tones.
    pub(crate) fn press(&self, digits: Vec<Digit>) -> bool {
        let mut queues = self.queues();
        let keys = queues.as_mut().and_then(|queues| queues.keys.as_mut());
        keys.map(|keys| keys.tones.press(digits)).is_some()
    }

    /// From here on, what is heard is no longer early media.
    pub(crate) fn mark_answered(&self) {
        self.answered.store(true, Ordering::Release);
    }

    /// Ends both streams, so that the application sees their end with the call's, and tells what they counted.
    pub(crate) fn close(&self) -> QueueCounters {
        let queues = self.queues().take();
        queues.map_or_else(QueueCounters::default, |queues| QueueCounters {
            underruns: queues.playout.stats().underruns,
            frames_dropped: queues.listen.stats().dropped,
        })
    }

    /// Hands a frame from the callee's end to the application. So many turns before it were left out.
    pub(super) fn hear(&self, queues: &mut Queues, frame: &[i16], missed: u64, wake: &mut dyn FnMut(Waker)) {
        let early = !self.answered.load(Ordering::Acquire);
        if let Some(recorder) = queues.recorder.as_mut().filter(|_| !early) {
            recorder.begin(queues.listen.position());
            recorder.heard(frame, missed);
        }
        if !early || self.early_media {
            queues.listen.push_and(frame, early, wake);
        }
    }

    /// Held by the clock for a frame; by nobody else but the clock's next shard when a stream is replaced.
    pub(super) fn queues(&self) -> MutexGuard<'_, Option<Queues>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An audio stream of PJMEDIA's that cannot be freed as long as this lives. PJSUA may destroy it at any time: its
/// memory then waits for our reference, and its port takes and gives nothing any more.
#[derive(Debug)]
pub(crate) struct PinnedStream {
    stream: NonNull<sys::pjmedia_stream>,
    port: NonNull<sys::pjmedia_port>,
    lock: NonNull<sys::pj_grp_lock_t>,
    /// The sockets under it; another stream of the call may use them when this one is gone.
    transport: NonNull<sys::pjmedia_transport>,
    clock_rate: u32,
    samples_per_frame: usize,
}

// SAFETY: a stream may be used from any thread that PJLIB knows; its group lock and PJMEDIA's own locks see to that.
unsafe impl Send for PinnedStream {}

// SAFETY: shared by the clock, which alone moves frames, and the control thread, which asks for counters: PJMEDIA
// copies them as they stand, for whoever asks.
unsafe impl Sync for PinnedStream {}

/// What a stream counted. Times in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StreamStats {
    pub(crate) packets_sent: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) packets_received: u64,
    pub(crate) bytes_received: u64,
    pub(crate) lost: u64,
    /// Packets that came and were not played, whole or in part.
    pub(crate) discarded: u64,
    /// Packets of which nothing was heard: they never came, or came and were discarded, and not because they came twice.
    pub(crate) unheard: u64,
    pub(crate) lost_at_peer: Option<u64>,
    pub(crate) jitter_mean_ms: f32,
    pub(crate) jitter_max_ms: f32,
    pub(crate) round_trip_ms: Option<f32>,
}

impl StreamStats {
    /// The counters of two streams of one call, one after the other.
    pub(crate) fn and(&self, later: &Self) -> Self {
        let weight = |ours: f32, theirs: f32| {
            let (before, after) = (self.packets_received as f32, later.packets_received as f32);
            if before + after > 0.0 { (ours * before + theirs * after) / (before + after) } else { theirs }
        };
        Self {
            packets_sent: self.packets_sent + later.packets_sent,
            bytes_sent: self.bytes_sent + later.bytes_sent,
            packets_received: self.packets_received + later.packets_received,
            bytes_received: self.bytes_received + later.bytes_received,
            lost: self.lost + later.lost,
            discarded: self.discarded + later.discarded,
            unheard: self.unheard + later.unheard,
            lost_at_peer: match (self.lost_at_peer, later.lost_at_peer) {
                (None, None) => None,
                (before, after) => Some(before.unwrap_or_default() + after.unwrap_or_default()),
            },
            jitter_mean_ms: weight(self.jitter_mean_ms, later.jitter_mean_ms),
            jitter_max_ms: self.jitter_max_ms.max(later.jitter_max_ms),
            round_trip_ms: later.round_trip_ms.or(self.round_trip_ms),
        }
    }
}

impl PinnedStream {
    /// Pins a stream.
    ///
    /// # Safety
    ///
    /// `stream` is null or a stream that PJSUA does not destroy during this call.
    #[doc(alias = "pj_grp_lock_add_ref")]
    pub(super) unsafe fn pin(stream: *mut sys::pjmedia_stream) -> Option<Self> {
        let stream = NonNull::new(stream)?;
        let mut port = std::ptr::null_mut();
        // SAFETY: the caller's promise: the stream is alive, and so are its port and group lock.
        unsafe {
            if sys::pjmedia_stream_get_port(stream.as_ptr(), &raw mut port) != 0 {
                return None;
            }
            let port = NonNull::new(port)?;
            let info = &raw const (*port.as_ptr()).info;
            let clock_rate = sys::pjsys_port_info_srate(info);
            let samples_per_frame = sys::pjsys_port_info_spf(info) as usize;
            let mono = sys::pjsys_port_info_ccnt(info) == 1;
            let lock = NonNull::new((*port.as_ptr()).grp_lock)?;
            if !mono || clock_rate == 0 || samples_per_frame == 0 || samples_per_frame > MOST_SAMPLES {
                return None;
            }
            let transport = NonNull::new(sys::pjsys_rtp_transport_of(stream.as_ptr()))?;
            if sys::pjsys_grp_lock_add_ref(lock.as_ptr()) != 0 {
                sys::pjsys_grp_lock_dec_ref((*transport.as_ptr()).grp_lock);
                return None;
            }
            Some(Self { stream, port, lock, transport, clock_rate, samples_per_frame })
        }
    }

    /// Sampling rate in Hz.
    pub(crate) fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// Samples of a frame, which is what one packet carries.
    pub(crate) fn samples_per_frame(&self) -> usize {
        self.samples_per_frame
    }

    /// Whether packets may come from elsewhere than the far end's SDP says.
    pub(crate) fn set_symmetric(&self, symmetric: bool) {
        // SAFETY: our reference keeps the transport; it locks what it changes.
        unsafe {
            sys::pjsys_rtp_transport_set_symmetric(self.transport.as_ptr(), sys::pj_bool_t::from(symmetric));
        }
    }

    /// Asks for the memory that serving this needs, in steps from 0 to 2: each looks at what the one before has asked
    /// for. Only the media clock does so.
    #[doc(alias = "pjmedia_stream_prefetch")]
    pub(super) fn prefetch(&self, step: u32) {
        // SAFETY: our references keep both records, and what the stream was made of stays the same as long as it lives.
        // Where the jitter buffer's ends are, step 2 reads without its lock: while the old stream of a call hands its
        // packets to this new one, another thread may move them, and the wrong memory is asked for. Nothing of it is read.
        unsafe {
            if step == 0 {
                sys::pjsys_rtp_transport_prefetch(self.transport.as_ptr());
            }
            sys::pjmedia_stream_prefetch(self.stream.as_ptr(), step);
        }
    }

    /// The sockets under it, which stay open as long as this lives.
    pub(super) fn transport(&self) -> NonNull<sys::pjmedia_transport> {
        self.transport
    }

    /// Takes the next frame out of the jitter buffer. Returns false, and leaves `frame` silent, when there is none.
    #[doc(alias = "pjmedia_port_get_frame")]
    pub(super) fn receive(&self, frame: &mut [i16]) -> bool {
        frame.fill(0);
        let mut record = self.record(frame);
        // SAFETY: the port is pinned; the buffer has room for one frame, which `record` checked and states; this
        // thread is registered with PJLIB.
        let status = unsafe { sys::pjmedia_port_get_frame(self.port.as_ptr(), &raw mut record) };
        status == 0 && record.type_ == sys::PJMEDIA_FRAME_TYPE_AUDIO
    }

    /// Encodes a frame and sends it.
    #[doc(alias = "pjmedia_port_put_frame")]
    pub(super) fn send(&self, frame: &mut [i16]) {
        let mut record = self.record(frame);
        // SAFETY: as for `receive`. An error, a closed socket for example, is the call's end on its way to us.
        unsafe { sys::pjmedia_port_put_frame(self.port.as_ptr(), &raw mut record) };
    }

    fn record(&self, frame: &mut [i16]) -> sys::pjmedia_frame {
        assert_eq!(frame.len(), self.samples_per_frame, "a frame has the length that its stream demands");
        sys::pjmedia_frame {
            type_: sys::PJMEDIA_FRAME_TYPE_AUDIO,
            buf: frame.as_mut_ptr().cast(),
            size: size_of_val(frame) as sys::pj_size_t,
            // SAFETY: a union of integers, for which zeros are valid.
            timestamp: unsafe { std::mem::zeroed() },
            bit_info: 0,
        }
    }

    /// The stream's counters so far.
    #[doc(alias = "pjmedia_stream_get_stat")]
    pub(crate) fn stats(&self) -> StreamStats {
        // SAFETY: a record for which zeros are valid; the stream is pinned, and the functions copy its counters.
        let (rtcp, missing) = unsafe {
            let mut rtcp: sys::pjmedia_rtcp_stat = std::mem::zeroed();
            sys::pjmedia_stream_get_stat(self.stream.as_ptr(), &raw mut rtcp);
            (rtcp, sys::pjsys_stream_missing(self.stream.as_ptr()))
        };
        // Who came twice is missing less by one, and discarded once.
        let unheard = i64::from(missing) + i64::from(rtcp.rx.discard);
        let ms = |microseconds: i32| microseconds.max(0) as f32 / 1000.0;
        StreamStats {
            packets_sent: rtcp.tx.pkt.into(),
            bytes_sent: rtcp.tx.bytes.into(),
            packets_received: rtcp.rx.pkt.into(),
            bytes_received: rtcp.rx.bytes.into(),
            lost: rtcp.rx.loss.into(),
            discarded: rtcp.rx.discard.into(),
            unheard: u64::try_from(unheard).unwrap_or_default(),
            lost_at_peer: (rtcp.tx.update_cnt > 0).then_some(rtcp.tx.loss.into()),
            jitter_mean_ms: ms(rtcp.rx.jitter.mean),
            jitter_max_ms: ms(rtcp.rx.jitter.max),
            round_trip_ms: (rtcp.rtt.n > 0).then(|| ms(rtcp.rtt.mean)),
        }
    }
}

impl Drop for PinnedStream {
    #[doc(alias = "pj_grp_lock_dec_ref")]
    fn drop(&mut self) {
        // SAFETY: our own references, taken in `pin`, given back once, on a thread that PJLIB knows: the control
        // thread or a clock thread. If they are the last ones the stream is freed here, and its sockets are closed.
        unsafe {
            sys::pjsys_grp_lock_dec_ref(self.lock.as_ptr());
            sys::pjsys_grp_lock_dec_ref((*self.transport.as_ptr()).grp_lock);
        }
    }
}

/// Asks for the memory of `data`, which will be needed soon.
pub(super) fn prefetch<T: ?Sized>(data: &T) {
    // SAFETY: the address of something that lives; nothing of it is read.
    unsafe { sys::pjsys_prefetch(ptr::from_ref(data).cast(), size_of_val(data) as sys::pj_size_t) };
}

/// Longest frame that is carried: 60 ms at 48 kHz.
pub(super) const MOST_SAMPLES: usize = 48 * 60;
