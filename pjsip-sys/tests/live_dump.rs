//! Descriptions of a call in buffers of any size.

mod support;

use pjsip_sys::*;
use support::peer::Phone;

#[test]
fn a_dump_stays_inside_its_buffer() {
    const CANARY: u8 = 0xA5;

    let mut phone = Phone::new(false);
    phone.talk();
    let mut longest = 0;
    for size in 4..4_000 {
        let mut buffer = vec![CANARY; size + 8];
        // SAFETY: the buffer is larger than announced; call 0 is the only one.
        let status =
            unsafe { pjsua_call_dump(0, 1, buffer.as_mut_ptr().cast(), size as u32, c"  ".as_ptr()) };
        assert_eq!(status, 0, "{size}");
        assert!(buffer[size..].iter().all(|&byte| byte == CANARY), "wrote behind {size} bytes");
        let end = buffer.iter().position(|&byte| byte == 0).unwrap();
        assert!(end < size, "{size} bytes end with a NUL");
        longest = longest.max(end);
    }
    assert!(longest > 500 && longest < 3_000, "some buffers were too small: {longest}");
}
