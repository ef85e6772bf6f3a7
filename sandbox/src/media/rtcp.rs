//! Sender and receiver reports (RFC 3550 section 6): loss and jitter of what came, times for the round trip.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rtcp_types::{
    Compound, Packet, ReceiverReport, ReportBlock, RtcpPacketWriterExt, Sdes, SdesChunk, SdesItem,
    SenderReport,
};

/// Seconds from 1900, NTP's epoch, to 1970.
const NTP_OFFSET: u64 = 2_208_988_800;

/// Statistics of the one stream that the other side sends.
#[derive(Debug)]
pub(crate) struct Reception {
    clock_rate: u32,
    ssrc: Option<u32>,
    first: u32,
    highest: u32,
    received: u32,
    transit: Option<i64>,
    jitter: f64,
    expected_before: u32,
    received_before: u32,
    /// Middle 32 bits of the last sender report's NTP time, and when it came.
    last_report: Option<(u32, Instant)>,
    started: Instant,
}

impl Reception {
    pub(crate) fn new(clock_rate: u32, now: Instant) -> Self {
        Self {
            clock_rate,
            ssrc: None,
            first: 0,
            highest: 0,
            received: 0,
            transit: None,
            jitter: 0.0,
            expected_before: 0,
            received_before: 0,
            last_report: None,
            started: now,
        }
    }

    /// Counts an RTP packet.
    pub(crate) fn packet(&mut self, ssrc: u32, sequence: u16, timestamp: u32, now: Instant) {
        if self.ssrc != Some(ssrc) {
            *self = Self { last_report: None, ..Self::new(self.clock_rate, self.started) };
            self.ssrc = Some(ssrc);
            self.first = sequence.into();
            self.highest = sequence.into();
        }
        let step = sequence.wrapping_sub(self.highest as u16).cast_signed();
        if step > 0 {
            self.highest = self.highest.wrapping_add(step.unsigned_abs().into());
        }
        self.received = self.received.wrapping_add(1);
        let elapsed = now.duration_since(self.started).as_secs_f64() * f64::from(self.clock_rate);
        let transit = elapsed as i64 - i64::from(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let difference = (transit - before).unsigned_abs() as f64;
            // A wrapped or restarted timestamp says nothing about the network.
            if difference < f64::from(self.clock_rate) {
                self.jitter += (difference - self.jitter) / 16.0;
            }
        }
    }

    /// Notes a sender report's NTP time.
    pub(crate) fn sender_report(&mut self, ntp: u64, now: Instant) {
        self.last_report = Some(((ntp >> 16) as u32, now));
    }

    fn expected(&self) -> u32 {
        self.highest.wrapping_sub(self.first).wrapping_add(1)
    }

    /// Packets missing so far.
    pub(crate) fn lost(&self) -> u64 {
        if self.ssrc.is_some() { self.expected().saturating_sub(self.received).into() } else { 0 }
    }

    fn block(&mut self, now: Instant) -> Option<rtcp_types::ReportBlockBuilder> {
        let expected = self.expected().wrapping_sub(self.expected_before);
        let received = self.received.wrapping_sub(self.received_before);
        (self.expected_before, self.received_before) = (self.expected(), self.received);
        let fraction = (expected.saturating_sub(received) * 256).checked_div(expected).unwrap_or(0);
        let (report, delay) = self.last_report.map_or((0, 0), |(report, at)| {
            (report, (now.duration_since(at).as_secs_f64() * 65_536.0) as u32)
        });
        Some(
            ReportBlock::builder(self.ssrc?)
                .fraction_lost(fraction.min(255) as u8)
                .cumulative_lost(self.lost().min(0x7f_ffff) as u32)
                .extended_sequence_number(self.highest)
                .interarrival_jitter(self.jitter as u32)
                .last_sender_report_timestamp(report)
                .delay_since_last_sender_report_timestamp(delay),
        )
    }
}

/// What the sandbox itself has sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) ssrc: u32,
    pub(crate) timestamp: u32,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

/// A report, with a canonical name as RFC 3550 demands.
pub(crate) fn report(
    sent: Sent,
    reception: &mut Reception,
    wall: SystemTime,
    now: Instant,
) -> Option<Vec<u8>> {
    let block = reception.block(now);
    let name = Sdes::builder().add_chunk(
        SdesChunk::builder(sent.ssrc).add_item(SdesItem::builder(SdesItem::CNAME, "outdial-sandbox")),
    );
    let compound = if sent.packets == 0 {
        let mut report = ReceiverReport::builder(sent.ssrc);
        if let Some(block) = block {
            report = report.add_report_block(block);
        }
        Compound::builder().add_packet(report)
    } else {
        let mut report = SenderReport::builder(sent.ssrc)
            .ntp_timestamp(ntp(wall))
            .rtp_timestamp(sent.timestamp)
            .packet_count(sent.packets)
            .octet_count(sent.octets);
        if let Some(block) = block {
            report = report.add_report_block(block);
        }
        Compound::builder().add_packet(report)
    };
    let mut bytes = vec![0; 512];
    let length = compound.add_packet(name).write_into(&mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

/// Reads a compound packet; `false` when it is not RTCP.
pub(crate) fn read(bytes: &[u8], reception: &mut Reception, now: Instant) -> bool {
    let Ok(compound) = Compound::parse(bytes) else { return false };
    for packet in compound {
        match packet {
            Ok(Packet::Sr(report)) => reception.sender_report(report.ntp_timestamp(), now),
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    true
}

fn ntp(wall: SystemTime) -> u64 {
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    ((since.as_secs() + NTP_OFFSET) << 32) | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_counted_across_the_wrap() {
        let now = Instant::now();
        let mut reception = Reception::new(8000, now);
        for (index, sequence) in [65_533_u16, 65_534, 0, 1, 3].into_iter().enumerate() {
            reception.packet(9, sequence, 160 * index as u32, now + Duration::from_millis(20 * index as u64));
        }
        assert_eq!(reception.lost(), 2);
        assert!(reception.jitter < 1.0, "{}", reception.jitter);
    }

    #[test]
    fn a_report_can_be_read_back() {
        let now = Instant::now();
        let mut ours = Reception::new(8000, now);
        ours.packet(9, 1, 0, now);
        let sent = Sent { ssrc: 5, timestamp: 160, packets: 3, octets: 480 };
        let bytes = report(sent, &mut ours, SystemTime::now(), now).unwrap();
        let mut theirs = Reception::new(8000, now);
        assert!(read(&bytes, &mut theirs, now));
        assert!(theirs.last_report.is_some());
        assert!(!read(b"garbage!", &mut theirs, now));
    }
}
