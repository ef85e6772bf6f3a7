//! A recording as Opus in Ogg (RFC 7845).
//!
//! The two sides are two streams of one channel each (mapping family 1 with no coupled stream), not a stereo stream: joint
//! coding would let each side be heard faintly on the other.

use std::fs::File;
use std::io::Write as _;

use ogg::{PacketWriteEndInfo, PacketWriter};
use opusic_c::multistream::{Config, Encoder};
use opusic_c::{Application, ErrorCode, SampleRate as OpusRate};

use super::Fault;
use crate::audio::SampleRate;

/// The rate of granule positions, whatever was encoded (RFC 7845 section 4).
const GRANULE_HZ: u64 = 48_000;
/// A packet is 20 ms long, and a page has a second: a process that dies loses the last one.
const PACKETS_PER_PAGE: u32 = 50;
/// The longest packet of 20 ms and two streams (RFC 6716 section 3.2).
const MOST_BYTES: usize = 2 * 1_277;
/// Speech at the lowest rates is transparent to about here; above it costs processor time and nothing is gained.
const COMPLEXITY: u8 = 5;

/// Encodes pairs of samples.
pub(super) struct OggFile {
    file: File,
    pages: PacketWriter<'static, Vec<u8>>,
    encoder: Encoder,
    serial: u32,
    rate: SampleRate,
    /// Samples at the file's rate that the decoder has to leave out at the beginning.
    pre_skip: u64,
    /// Less than a packet.
    pending: Vec<u16>,
    /// The packet that will be written when it is known whether it is the last one.
    held: Option<Vec<u8>>,
    packets: u64,
    pairs: u64,
    /// Bytes of whole pages in the file, and pairs that can be played of them.
    good: u64,
    good_pairs: u64,
}

impl OggFile {
    pub(super) fn begin(file: File, rate: SampleRate) -> Result<Self, Fault> {
        let config = Config::<2>::new(2, 0, [0, 1]);
        let mut encoder = Encoder::new(config, opus_rate(rate), Application::Voip).map_err(fault)?;
        encoder.set_complexity(COMPLEXITY).map_err(fault)?;
        let pre_skip = u64::from(encoder.get_look_ahead().map_err(fault)?);
        let mut this = Self {
            file,
            pages: PacketWriter::new(Vec::new()),
            encoder,
            serial: rand::random(),
            rate,
            pre_skip,
            pending: Vec::new(),
            held: None,
            packets: 0,
            pairs: 0,
            good: 0,
            good_pairs: 0,
        };
        let head = this.head();
        this.page(head, PacketWriteEndInfo::EndPage, 0)?;
        this.page(tags(), PacketWriteEndInfo::EndPage, 0)?;
        this.put()?;
        Ok(this)
    }

    /// Appends whole pairs.
    pub(super) fn write(&mut self, samples: &[i16]) -> Result<(), Fault> {
        self.pairs += samples.len() as u64 / 2;
        // The encoder's interface takes the bits of a signed number for an unsigned one.
        self.pending.extend(samples.iter().map(|sample| sample.cast_unsigned()));
        let packet = 2 * self.rate.frame_len();
        let whole = self.pending.len() / packet * packet;
        let pending = std::mem::take(&mut self.pending);
        for samples in pending[..whole].chunks_exact(packet) {
            self.encode(samples)?;
        }
        self.pending = pending[whole..].to_vec();
        Ok(())
    }

    /// Completes it: what the encoder still holds comes out, and the last page says where the sound ends.
    pub(super) fn finish(mut self) -> Result<(), Fault> {
        let packet = self.rate.frame_len() as u64;
        while self.packets * packet < self.pairs + self.pre_skip {
            let mut samples = std::mem::take(&mut self.pending);
            samples.resize(2 * self.rate.frame_len(), 0);
            self.encode(&samples)?;
        }
        let end = self.granules(self.pairs + self.pre_skip);
        if let Some(last) = self.held.take() {
            self.page(last, PacketWriteEndInfo::EndStream, end)?;
        }
        self.put()
    }

    /// How long the file may be when nothing more can be written.
    pub(super) fn good_length(&self) -> u64 {
        self.good
    }

    /// How many pairs are in it then.
    pub(super) fn good_pairs(&self) -> u64 {
        self.good_pairs
    }

    fn encode(&mut self, samples: &[u16]) -> Result<(), Fault> {
        let mut packet = Vec::with_capacity(MOST_BYTES);
        self.encoder.encode_to_vec(samples, &mut packet).map_err(fault)?;
        if let Some(before) = self.held.replace(packet) {
            let ends_page = self.packets.is_multiple_of(u64::from(PACKETS_PER_PAGE));
            let info = if ends_page { PacketWriteEndInfo::EndPage } else { PacketWriteEndInfo::NormalPacket };
            let granule = self.granules(self.packets * self.rate.frame_len() as u64);
            self.page(before, info, granule)?;
            if ends_page {
                self.put()?;
            }
        }
        self.packets += 1;
        Ok(())
    }

    fn page(&mut self, packet: Vec<u8>, info: PacketWriteEndInfo, granule: u64) -> Result<(), Fault> {
        Ok(self.pages.write_packet(packet, self.serial, info, granule)?)
    }

    /// Brings the pages that are complete to the file.
    fn put(&mut self) -> Result<(), Fault> {
        let pages = std::mem::take(self.pages.inner_mut());
        self.file.write_all(&pages)?;
        self.good += pages.len() as u64;
        let played = (self.packets * self.rate.frame_len() as u64).saturating_sub(self.pre_skip);
        self.good_pairs = played.min(self.pairs);
        Ok(())
    }

    fn granules(&self, samples: u64) -> u64 {
        samples * GRANULE_HZ / u64::from(self.rate.hz())
    }

    /// The identification header (RFC 7845 section 5.1).
    fn head(&self) -> Vec<u8> {
        let mut head = b"OpusHead\x01\x02".to_vec();
        let pre_skip = u16::try_from(self.granules(self.pre_skip)).unwrap_or(u16::MAX);
        head.extend(pre_skip.to_le_bytes());
        head.extend(self.rate.hz().to_le_bytes());
        // No gain; mapping family 1, two streams, none of them coupled, the first one left.
        head.extend([0, 0, 1, 2, 0, 0, 1]);
        head
    }
}

/// The comment header (RFC 7845 section 5.2), without a comment: the file's name says which call it is.
fn tags() -> Vec<u8> {
    let vendor = opusic_c::version().as_bytes();
    let mut tags = b"OpusTags".to_vec();
    tags.extend(u32::try_from(vendor.len()).unwrap_or_default().to_le_bytes());
    tags.extend(vendor);
    tags.extend([0; 4]);
    tags
}

fn opus_rate(rate: SampleRate) -> OpusRate {
    match rate {
        SampleRate::Hz8000 => OpusRate::Hz8000,
        SampleRate::Hz16000 => OpusRate::Hz16000,
        SampleRate::Hz24000 => OpusRate::Hz24000,
        SampleRate::Hz48000 => OpusRate::Hz48000,
    }
}

fn fault(error: ErrorCode) -> Fault {
    Fault::Encoder(error.message().to_owned())
}

#[cfg(test)]
mod tests;
