//! Where a call's RTP comes from: who moves it, and who does not.

use pjsip_sys::*;

const PEER: &str = "192.0.2.1:4000";
const SAME_HOST: &str = "192.0.2.1:4100";
const ELSEWHERE: &str = "198.51.100.7:9000";

/// The far end's stream, and a stranger's.
const OURS: u32 = 0x1234_5678;
const OTHER: u32 = 0x9abc_def0;

fn address(text: &str) -> pj_sockaddr {
    // SAFETY: a union of integers; the text is parsed into it.
    unsafe {
        let mut found = std::mem::zeroed();
        let text = pj_str_t { ptr: text.as_ptr().cast_mut().cast(), slen: text.len() as pj_ssize_t };
        assert_eq!(pj_sockaddr_parse(0, 0, &text, &mut found), 0);
        found
    }
}

/// A far end, and packets that come a frame apart.
struct Call {
    source: pjsys_rtp_source,
    now: u64,
}

impl Call {
    fn with(signalled: &str) -> Self {
        // SAFETY: a record of integers, for which zeros are valid.
        let mut source: pjsys_rtp_source = unsafe { std::mem::zeroed() };
        source.symmetric = 1;
        let mut call = Self { source, now: 1_000_000_000_000 };
        call.negotiated(signalled);
        call
    }

    fn negotiated(&mut self, signalled: &str) {
        // SAFETY: both records live.
        unsafe { pjsys_rtp_source_negotiated(&mut self.source, &address(signalled)) }
    }

    /// Packets from there, `pause` milliseconds apart: `-` for one that is dropped, `+` for one that is taken, `>` for one
    /// that moves the far end.
    fn hears(
        &mut self,
        from: &str,
        ssrc: u32,
        sequences: impl IntoIterator<Item = u16>,
        pause: u64,
    ) -> String {
        let packet = |sequence: u16| {
            [&[0x80, 0][..], &sequence.to_be_bytes(), &[0; 4], &ssrc.to_be_bytes(), &[0xff; 160]].concat()
        };
        sequences.into_iter().map(|sequence| self.packet(from, &packet(sequence), pause)).collect()
    }

    fn packet(&mut self, from: &str, packet: &[u8], pause: u64) -> char {
        self.now += pause * 1_000_000;
        let size = packet.len() as pj_size_t;
        // SAFETY: the record lives, and the packet is as long as said.
        unsafe {
            let from = address(from);
            let packet = packet.as_ptr().cast();
            match pjsys_rtp_source_judge(&mut self.source, &from, packet, size, self.now) {
                PJSYS_RTP_DROP => '-',
                PJSYS_RTP_TAKE => '+',
                PJSYS_RTP_MOVE => {
                    pjsys_rtp_source_moved(&mut self.source, self.now);
                    '>'
                }
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_stranger_is_not_heard_however_many_packets_he_sends() {
    let mut call = Call::with(PEER);
    assert_eq!(call.hears(PEER, OURS, 1..4, 20), "+++");
    // Thousands, between two packets of the far end's, and in a silence of minutes.
    assert_eq!(call.hears(ELSEWHERE, OTHER, 0..5_000, 0), "-".repeat(5_000));
    assert_eq!(call.hears(PEER, OURS, 4..6, 20), "++");
    assert_eq!(call.hears(ELSEWHERE, OTHER, 0..9_000, 20), "-".repeat(9_000));
    assert_eq!(call.hears(PEER, OURS, 6..8, 20), "++");
}

#[test]
fn a_stranger_who_knows_the_ssrc_alone_is_not_heard() {
    let mut call = Call::with(PEER);
    call.hears(PEER, OURS, 20_000..20_003, 20);
    assert_eq!(call.hears(ELSEWHERE, OURS, 50_000..50_050, 20), "-".repeat(50));
    assert_eq!(call.hears(ELSEWHERE, OURS, 100..150, 20), "-".repeat(50));
}

#[test]
fn a_stream_that_goes_on_elsewhere_is_followed() {
    let mut call = Call::with(PEER);
    // Its sequence numbers wrap on the way, and ten packets are lost.
    call.hears(PEER, OURS, 65_530..65_534, 20);
    assert_eq!(call.hears(ELSEWHERE, OURS, 8..14, 20), "--->++");
    assert_eq!(call.hears(PEER, OTHER, [1, 2], 20), "--", "the old place counts for no more than any other");
    // And back: the address of its SDP needs nothing but packets.
    assert_eq!(call.hears(PEER, OTHER, 3..6, 20), "->+");
}

#[test]
fn a_stream_that_comes_from_both_places_stays_where_it_is() {
    let mut call = Call::with(PEER);
    call.hears(PEER, OURS, 1..3, 20);
    for sequence in 3..200 {
        assert_eq!(call.hears(PEER, OURS, [sequence], 10), "+");
        assert_eq!(call.hears(ELSEWHERE, OURS, [sequence + 1], 10), "-");
    }
}

#[test]
fn another_port_of_the_same_host_takes_over_after_a_silence() {
    let mut call = Call::with(PEER);
    call.hears(PEER, OURS, 1..4, 20);
    // 25 packets of 20 ms are half a second.
    assert_eq!(call.hears(SAME_HOST, OTHER, 0..26, 20), format!("{}>+", "-".repeat(24)));
    let mut call = Call::with(PEER);
    for sequence in 0..500 {
        assert_eq!(call.hears(PEER, OURS, [sequence], 10), "+");
        assert_eq!(call.hears(SAME_HOST, OTHER, [sequence], 10), "-", "the old one speaks");
    }
}

#[test]
fn a_far_end_behind_a_translation_is_found() {
    let mut call = Call::with("10.0.0.1:4000");
    assert_eq!(call.hears(ELSEWHERE, OURS, 1..10, 20), "--->+++++");
    // A re-INVITE that says the same changes nothing, though nobody speaks after it.
    call.negotiated("10.0.0.1:4000");
    assert_eq!(call.hears(PEER, OTHER, 0..50, 20), "-".repeat(50));
    assert_eq!(call.hears(ELSEWHERE, OURS, 10..12, 20), "++");
}

#[test]
fn scattered_packets_are_no_stream() {
    let mut call = Call::with(PEER);
    for port in 0..100 {
        let from = format!("198.51.100.7:{}", 9_000 + port);
        assert_eq!(call.hears(&from, OTHER, [port], 1), "-");
    }
    for ssrc in 0..100 {
        assert_eq!(call.hears(ELSEWHERE, ssrc, [1], 1), "-");
    }
    assert_eq!(call.hears(ELSEWHERE, OTHER, [5; 100], 1), "-".repeat(100), "one packet, repeated");
    assert_eq!(call.packet(ELSEWHERE, b"no RTP", 1), '-');
    assert_eq!(call.packet(PEER, b"\r\n", 1), '+', "a keep-alive");
}

#[test]
fn the_address_of_the_sdp_wins_over_whoever_was_quicker() {
    let mut call = Call::with(PEER);
    assert_eq!(call.hears(ELSEWHERE, OTHER, 1..6, 1), "--->+");
    assert_eq!(call.hears(PEER, OURS, 1..8, 20), "--->+++");
    assert_eq!(call.hears(ELSEWHERE, OTHER, 6..1_000, 1), "-".repeat(994));
}

#[test]
fn an_offer_moves_the_far_end_and_forgets_the_old_place() {
    let mut call = Call::with(PEER);
    call.hears(PEER, OURS, 1..4, 20);
    call.negotiated(SAME_HOST);
    assert_eq!(call.hears(SAME_HOST, OURS, 4..6, 20), "++");
    assert_eq!(call.hears(PEER, OTHER, 6..9, 20), "---");
}

#[test]
fn a_trunk_that_is_where_it_says_is_nowhere_else() {
    let mut call = Call::with(PEER);
    call.source.symmetric = 0;
    assert_eq!(call.hears(ELSEWHERE, OURS, 0..50, 20), "-".repeat(50));
    assert_eq!(call.hears(PEER, OURS, 50..52, 20), "++");
    assert_eq!(call.hears(SAME_HOST, OURS, 52..200, 20), "-".repeat(148));
}
