//! Which codecs are offered, and in which order.

use pjsip_sys as sys;

use super::error::{PjError, check};
use super::strings;

/// Every codec that was compiled in, as PJSIP names them: `PCMU/8000/1`.
#[doc(alias = "pjsua_enum_codecs")]
pub(super) fn compiled_in() -> Result<Vec<String>, PjError> {
    const MOST: usize = 64;
    // SAFETY: records of strings and integers, for which zeros are valid.
    let mut found: [sys::pjsua_codec_info; MOST] = unsafe { std::mem::zeroed() };
    let mut count = MOST as u32;
    // SAFETY: the array has as many places as said; PJSUA is initialised.
    check("pjsua_enum_codecs", unsafe { sys::pjsua_enum_codecs(found.as_mut_ptr(), &raw mut count) })?;
    // SAFETY: PJSUA filled the first `count` records with strings that live as long as it.
    Ok(found.iter().take(count as usize).map(|codec| unsafe { strings::copy(&codec.codec_id) }).collect())
}

/// The rate at which Opus carries speech, in Hz. Above it there is little of a voice, and half of the work.
const OPUS_RATE: u32 = 16_000;
/// How hard Opus tries, of 10: what is above costs twice as much for a difference that speech at 13 kbit/s hardly shows.
const OPUS_COMPLEXITY: u32 = 2;

/// Sets the codecs up for speech.
#[doc(alias = "pjmedia_codec_opus_set_default_param")]
pub(super) fn set_up_for_speech() -> Result<(), PjError> {
    // SAFETY: PJSUA is initialised, and this is the only thread that uses it.
    check("pjmedia_codec_opus_set_default_param", unsafe {
        sys::pjsys_opus_set_speech(OPUS_RATE, OPUS_COMPLEXITY)
    })
}

/// Offers exactly the codecs in `order`, best first; each is a prefix of PJSIP's name, without case: `pcmu`.
#[doc(alias = "pjsua_codec_set_priority")]
pub(super) fn set_order(compiled_in: &[String], order: &[&str]) -> Result<(), PjError> {
    for name in compiled_in {
        let rank = order.iter().position(|wanted| is(name, wanted));
        // 0 takes a codec out of the offer; PJSIP sorts the rest from 255 down.
        let priority = rank.map_or(0, |rank| 250 - rank.min(200) as u8);
        let id = strings::lend(name);
        // SAFETY: the string lives during the call, which copies nothing of it.
        check("pjsua_codec_set_priority", unsafe { sys::pjsua_codec_set_priority(&raw const id, priority) })?;
    }
    Ok(())
}

/// Encoding name and clock rate of a codec as SDP has them (RFC 8866 §6.6). PJMEDIA tells how often a codec samples, which is
/// its clock rate in all but two: G.722 has 8,000 for 16,000 samples (RFC 3551 §4.5.2), and Opus 48,000 for whatever it
/// carries (RFC 7587 §4.1).
pub(super) fn told(encoding: &str, samples_per_second: u32) -> String {
    let clock_rate = match encoding.to_ascii_uppercase().as_str() {
        "G722" => 8_000,
        "OPUS" => 48_000,
        _ => samples_per_second,
    };
    format!("{encoding}/{clock_rate}")
}

/// Whether `name`, `PCMU/8000/1`, is the codec `wanted`, `pcmu`.
fn is(name: &str, wanted: &str) -> bool {
    let encoding = name.split('/').next().unwrap_or_default();
    encoding.eq_ignore_ascii_case(wanted)
        || name
            .get(..wanted.len())
            .is_some_and(|start| wanted.contains('/') && start.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::{is, told};

    #[test]
    fn a_codec_s_clock_rate_is_that_of_sdp() {
        assert_eq!(told("PCMU", 8_000), "PCMU/8000");
        assert_eq!(told("G722", 16_000), "G722/8000");
        assert_eq!(told("opus", 16_000), "opus/48000");
        assert_eq!(told("L16", 16_000), "L16/16000");
    }

    #[test]
    fn a_codec_is_named_by_its_encoding_or_with_its_clock_rate() {
        assert!(is("PCMU/8000/1", "pcmu"));
        assert!(is("L16/16000/1", "l16/16000"));
        assert!(!is("L16/44100/2", "l16/16000"));
        assert!(!is("PCMA/8000/1", "pcm"));
        assert!(!is("PCMA/8000/1", "pcmu"));
    }
}
