//! More codecs than a media description has room for.

mod support;

use pjsip_sys::*;
use std::ptr;
use support::{Lib, bytes};

const CODECS: u32 = 32;

unsafe extern "C" fn test_alloc(_: *mut pjmedia_codec_factory, _: *const pjmedia_codec_info) -> pj_status_t {
    0
}

unsafe extern "C" fn default_attr(
    _: *mut pjmedia_codec_factory,
    info: *const pjmedia_codec_info,
    attr: *mut pjmedia_codec_param,
) -> pj_status_t {
    // SAFETY: both are valid during the call.
    unsafe {
        *attr = std::mem::zeroed();
        (*attr).info.clock_rate = (*info).clock_rate;
        (*attr).info.channel_cnt = 1;
    }
    0
}

/// As many codecs with dynamic payload types as there can be.
unsafe extern "C" fn enum_info(
    _: *mut pjmedia_codec_factory,
    count: *mut u32,
    infos: *mut pjmedia_codec_info,
) -> pj_status_t {
    // SAFETY: the array has *count entries.
    unsafe {
        let number = CODECS.min(*count);
        for index in 0..number as usize {
            let name = Box::leak(format!("X{index}").into_boxed_str());
            let info = &mut *infos.add(index);
            info.type_ = PJMEDIA_TYPE_AUDIO;
            info.pt = 96 + index as u32;
            info.encoding_name = pj_str_t { ptr: name.as_mut_ptr().cast(), slen: name.len() as pj_ssize_t };
            info.clock_rate = 8000;
            info.channel_cnt = 1;
        }
        *count = number;
    }
    0
}

unsafe extern "C" fn destroy() -> pj_status_t {
    0
}

#[test]
fn what_does_not_fit_is_left_out() {
    let lib = Lib::new();
    let mut endpoint = ptr::null_mut();
    let mut media = ptr::null_mut();
    let mut factory_op = pjmedia_codec_factory_op {
        test_alloc: Some(test_alloc),
        default_attr: Some(default_attr),
        enum_info: Some(enum_info),
        alloc_codec: None,
        dealloc_codec: None,
        destroy: Some(destroy),
    };
    // SAFETY: the factory lives until the endpoint is destroyed; the description lives in the pool.
    unsafe {
        assert_eq!(pjmedia_endpt_create2(lib.factory(), ptr::null_mut(), 0, &mut endpoint), 0);
        let mut factory: pjmedia_codec_factory = std::mem::zeroed();
        factory.op = &mut factory_op;
        let manager = pjmedia_endpt_get_codec_mgr(endpoint);
        assert_eq!(pjmedia_codec_mgr_register_factory(manager, &mut factory), 0);

        let mut sockets: pjmedia_sock_info = std::mem::zeroed();
        let host = lib.text("127.0.0.1");
        let address = (&raw mut sockets.rtp_addr_name).cast::<pj_sockaddr_in>();
        assert_eq!(pj_sockaddr_in_init(address, &host, 4000), 0);
        let status = pjmedia_endpt_create_audio_sdp(endpoint, lib.pool, &sockets, ptr::null(), &mut media);
        assert_eq!(status, 0);

        let media = &*media;
        let count = media.desc.fmt_count as usize;
        assert!(count <= PJMEDIA_MAX_SDP_FMT as usize, "{count}");
        assert!(media.attr_count <= PJMEDIA_MAX_SDP_ATTR, "{}", media.attr_count);
        for format in &media.desc.fmt[..count] {
            assert!(!bytes(format).is_empty());
        }
        assert_eq!(pjmedia_codec_mgr_unregister_factory(manager, &mut factory), 0);
        pjmedia_endpt_destroy2(endpoint);
    }
}
