//! WAV files that describe no audio.

mod support;

use pjsip_sys::*;
use std::ffi::CString;
use std::{fs, process, ptr};
use support::Lib;

fn file(channels: u16, rate: u32, audio: usize) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0");
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend(rate.wrapping_mul(2).to_le_bytes());
    file.extend((channels.wrapping_mul(2)).to_le_bytes());
    file.extend(16_u16.to_le_bytes());
    file.extend(b"data");
    file.extend((audio as u32).to_le_bytes());
    file.resize(file.len() + audio, 0);
    file
}

fn opens(lib: &Lib, content: &[u8]) -> bool {
    let path = std::env::temp_dir().join(format!("outdial-wav-{}.wav", process::id()));
    fs::write(&path, content).unwrap();
    let name = CString::new(path.to_str().unwrap()).unwrap();
    let mut port = ptr::null_mut();
    // SAFETY: the player has a pool of its own, and is destroyed with it.
    let opened = unsafe {
        let opened = pjmedia_wav_player_port_create(lib.pool, name.as_ptr(), 20, 0, 0, &mut port) == 0;
        if opened {
            pjmedia_port_destroy(port);
        }
        opened
    };
    fs::remove_file(&path).unwrap();
    opened
}

#[test]
fn headers_without_audio_are_refused() {
    let lib = Lib::new();
    assert!(opens(&lib, &file(1, 8000, 32_000)));
    assert!(opens(&lib, &file(2, 48_000, 32_000)));
    assert!(!opens(&lib, &file(0, 8000, 32_000)));
    assert!(!opens(&lib, &file(1, 0, 32_000)));
    // 20 ms times 2^31 Hz times two channels is 0 in 32 bits.
    assert!(!opens(&lib, &file(2, 1 << 31, 32_000)));
    assert!(!opens(&lib, &file(1, 8000, 0)));
    let mut cut = b"RIFF\0\0\0\0WAVEjunk\x40\0\0\0".to_vec();
    cut.resize(cut.len() + 0x40, 0);
    cut.extend(b"fmt \x10\0\0\0\x01\0");
    assert!(!opens(&lib, &cut));
}
