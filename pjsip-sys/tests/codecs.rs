//! The whole of pjsua links, starts and stops, with the codecs that the build says it has.

use pjsip_sys::*;
use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::ptr;
use std::slice;

const OK: pj_status_t = PJ_SUCCESS as pj_status_t;

#[test]
fn pjsua_has_the_codecs() {
    // SAFETY: one thread; structures are filled by their `_default` functions before use, and
    // strings are copied before pjsua, which owns them, is destroyed.
    let ids: BTreeSet<String> = unsafe {
        assert_eq!(pjsua_create(), OK);
        let mut config = MaybeUninit::<pjsua_config>::uninit();
        pjsua_config_default(config.as_mut_ptr());
        let mut log = MaybeUninit::<pjsua_logging_config>::uninit();
        pjsua_logging_config_default(log.as_mut_ptr());
        (*log.as_mut_ptr()).console_level = 0;
        assert_eq!(pjsua_init(config.as_ptr(), log.as_ptr(), ptr::null()), OK);

        let mut codecs = [MaybeUninit::<pjsua_codec_info>::uninit(); 32];
        let mut count = codecs.len() as u32;
        assert_eq!(pjsua_enum_codecs(codecs[0].as_mut_ptr(), &mut count), OK);
        let ids = codecs[..count as usize].iter().map(|codec| text(&codec.assume_init().codec_id)).collect();
        assert_eq!(pjsua_destroy(), OK);
        ids
    };
    let name = |id: &String| id.split('/').next().unwrap_or_default().to_owned();
    let names: BTreeSet<String> = ids.iter().map(name).collect();
    let told: BTreeSet<String> = env!("PJSIP_SYS_CODECS").split(',').map(str::to_owned).collect();
    assert_eq!(names, told);
    // L16 as configurations of outdial offer it.
    assert!(ids.contains("L16/16000/1"), "{ids:?}");
}

/// # Safety
///
/// The string must be valid.
unsafe fn text(id: &pj_str_t) -> String {
    // SAFETY: the caller's.
    let bytes = unsafe { slice::from_raw_parts(id.ptr.cast::<u8>(), id.slen as usize) };
    String::from_utf8_lossy(bytes).into_owned()
}
