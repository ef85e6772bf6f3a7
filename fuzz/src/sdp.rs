//! A session description: as the answer to our offer, as an offer, and as an offer in a call that is up.

use crate::media::endpoint;
use crate::media::loopback;
use crate::pjlib::Pool;
use pjsip_sys::*;
use std::ptr;

const OURS: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 0 8 9 98 101\r\na=rtpmap:98 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n\
    a=fmtp:101 0-16\r\na=sendrecv\r\n";

/// Longest body that fits a message.
const LONGEST: usize = 4_000;

pub(crate) fn run(input: &[u8]) {
    if input.len() > LONGEST {
        return;
    }
    let pool = Pool::new();
    let Some(theirs) = parse(&pool, input) else { return };
    let ours = parse(&pool, OURS.as_bytes()).expect("it is well-formed");
    print(theirs);
    // SAFETY: all descriptions live in the pool, and each negotiator works with copies.
    unsafe {
        if pjmedia_sdp_validate2(theirs, 0) != 0 {
            return;
        }
        answered(&pool, ours, theirs);
        offered(&pool, ours, theirs);
    }
}

fn parse(pool: &Pool, text: &[u8]) -> Option<*mut pjmedia_sdp_session> {
    let (text, mut sdp) = (pool.copy(text), ptr::null_mut());
    // SAFETY: the text lives as long as the pool and has a NUL behind it.
    let status = unsafe { pjmedia_sdp_parse(pool.as_ptr(), text.ptr, text.slen as pj_size_t, &mut sdp) };
    (status == 0).then_some(sdp)
}

/// Into buffers that suffice and that do not.
fn print(sdp: *const pjmedia_sdp_session) {
    for size in [16, 100, 500, 8_000] {
        let mut buffer = vec![0_u8; size];
        // SAFETY: the buffer has this size.
        unsafe { pjmedia_sdp_print(sdp, buffer.as_mut_ptr().cast(), size as pj_size_t) };
    }
}

/// Our offer, their answer.
unsafe fn answered(pool: &Pool, ours: *mut pjmedia_sdp_session, theirs: *mut pjmedia_sdp_session) {
    // SAFETY: the caller's promise; SRTP lives until the end of this function.
    unsafe {
        let srtp = Keys::new();
        let offer = pjmedia_sdp_session_clone(pool.as_ptr(), ours);
        srtp.describe(pool, offer, ptr::null_mut());
        let mut negotiator = ptr::null_mut();
        if pjmedia_sdp_neg_create_w_local_offer(pool.as_ptr(), offer, &mut negotiator) == 0
            && pjmedia_sdp_neg_set_remote_answer(pool.as_ptr(), negotiator, theirs) == 0
            && pjmedia_sdp_neg_negotiate(pool.as_ptr(), negotiator, 0) == 0
        {
            apply(pool, &srtp, negotiator);
            again(pool, &srtp, negotiator, ours, theirs);
        }
    }
}

/// Their offer, our answer.
unsafe fn offered(pool: &Pool, ours: *mut pjmedia_sdp_session, theirs: *mut pjmedia_sdp_session) {
    // SAFETY: as above.
    unsafe {
        let srtp = Keys::new();
        let answer = pjmedia_sdp_session_clone(pool.as_ptr(), ours);
        srtp.describe(pool, answer, theirs);
        let mut negotiator = ptr::null_mut();
        if pjmedia_sdp_neg_create_w_remote_offer(pool.as_ptr(), answer, theirs, &mut negotiator) == 0
            && pjmedia_sdp_neg_negotiate(pool.as_ptr(), negotiator, 0) == 0
        {
            apply(pool, &srtp, negotiator);
            again(pool, &srtp, negotiator, ours, theirs);
        }
    }
}

/// In the call that is up: they offer the same again, then we offer what we have, and they answer so.
unsafe fn again(
    pool: &Pool,
    srtp: &Keys,
    negotiator: *mut pjmedia_sdp_neg,
    ours: *mut pjmedia_sdp_session,
    theirs: *mut pjmedia_sdp_session,
) {
    // SAFETY: as above.
    unsafe {
        let pool_ptr = pool.as_ptr();
        if pjmedia_sdp_neg_set_remote_offer(pool_ptr, negotiator, theirs) == 0 {
            let answer = pjmedia_sdp_session_clone(pool_ptr, ours);
            srtp.describe(pool, answer, theirs);
            if pjmedia_sdp_neg_set_local_answer(pool_ptr, negotiator, answer) != 0
                || pjmedia_sdp_neg_negotiate(pool_ptr, negotiator, 0) != 0
            {
                return;
            }
            apply(pool, srtp, negotiator);
        }
        let offer = pjmedia_sdp_session_clone(pool_ptr, ours);
        if pjmedia_sdp_neg_modify_local_offer2(pool_ptr, negotiator, 0, offer) == 0
            && pjmedia_sdp_neg_set_remote_answer(pool_ptr, negotiator, theirs) == 0
            && pjmedia_sdp_neg_negotiate(pool_ptr, negotiator, 0) == 0
        {
            apply(pool, srtp, negotiator);
        }
    }
}

/// What was agreed, as a stream is made of it.
unsafe fn apply(pool: &Pool, srtp: &Keys, negotiator: *mut pjmedia_sdp_neg) {
    // SAFETY: as above; the stream's information is plain data.
    unsafe {
        let (mut ours, mut theirs) = (ptr::null(), ptr::null());
        if pjmedia_sdp_neg_get_active_local(negotiator, &mut ours) != 0
            || pjmedia_sdp_neg_get_active_remote(negotiator, &mut theirs) != 0
        {
            return;
        }
        print(ours);
        srtp.start(pool, ours, theirs);
        for line in 0..(*ours).media_count.min((*theirs).media_count) {
            let mut info: pjmedia_stream_info = std::mem::zeroed();
            pjmedia_stream_info_from_sdp(&mut info, pool.as_ptr(), endpoint(), ours, theirs, line);
        }
    }
}

/// An SRTP transport, which agrees on the keys of the first media line.
struct Keys(*mut pjmedia_transport);

impl Keys {
    fn new() -> Self {
        let mut srtp = ptr::null_mut();
        // SAFETY: SRTP owns the transport below it.
        let status = unsafe { pjmedia_transport_srtp_create(endpoint(), loopback(), ptr::null(), &mut srtp) };
        assert_eq!(status, 0);
        Self(srtp)
    }

    unsafe fn describe(&self, pool: &Pool, ours: *mut pjmedia_sdp_session, theirs: *mut pjmedia_sdp_session) {
        // SAFETY: the caller's promise: both descriptions are whole, or theirs is null.
        unsafe {
            let operations = &*(*self.0).op;
            if let (Some(create), Some(encode)) = (operations.media_create, operations.encode_sdp)
                && (theirs.is_null() || (*theirs).media_count > 0)
                && create(self.0, pool.as_ptr(), 0, theirs, 0) == 0
            {
                encode(self.0, pool.as_ptr(), ours, theirs, 0);
            }
        }
    }

    unsafe fn start(
        &self,
        pool: &Pool,
        ours: *const pjmedia_sdp_session,
        theirs: *const pjmedia_sdp_session,
    ) {
        // SAFETY: as above.
        unsafe {
            if let Some(start) = (*(*self.0).op).media_start
                && (*ours).media_count > 0
                && (*theirs).media_count > 0
            {
                start(self.0, pool.as_ptr(), ours, theirs, 0);
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // SAFETY: nothing uses it afterwards.
        unsafe {
            if let Some(destroy) = (*(*self.0).op).destroy {
                destroy(self.0);
            }
        }
    }
}
