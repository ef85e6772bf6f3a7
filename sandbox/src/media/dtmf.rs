//! Keys as RTP events (RFC 4733): reading the caller's, and the packets of our own.

/// How long a key that the sandbox presses lasts, in 20 ms packets.
const PRESS_PACKETS: u16 = 6;
/// The pause after it, in 20 ms packets.
const PAUSE_PACKETS: u16 = 4;
/// The last packet is sent this often in all (RFC 4733 section 2.5.1.4).
const END_PACKETS: u16 = 3;

/// The key of an event number 0–15.
pub(crate) fn key(event: u8) -> Option<char> {
    "0123456789*#ABCD".chars().nth(event.into())
}

fn event(key: char) -> Option<u8> {
    "0123456789*#ABCD".chars().position(|known| known == key.to_ascii_uppercase()).map(|n| n as u8)
}

/// Tells each key once, whatever the number of packets that carried it.
#[derive(Debug, Default)]
pub(crate) struct EventReader {
    current: Option<u32>,
}

impl EventReader {
    /// The key that begins with this packet, if one does.
    pub(crate) fn read(&mut self, timestamp: u32, payload: &[u8]) -> Option<char> {
        let [number, _, _, _] = *payload.first_chunk()?;
        if self.current == Some(timestamp) {
            return None;
        }
        self.current = Some(timestamp);
        key(number)
    }
}

/// One packet of an event being sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EventPacket {
    pub(crate) payload: [u8; 4],
    /// Whether this packet begins a key: marker bit, and the RTP timestamp is taken anew.
    pub(crate) begins: bool,
}

/// The keys still to be sent, one packet or pause per 20 ms.
#[derive(Debug, Default)]
pub(crate) struct EventWriter {
    pending: std::collections::VecDeque<u8>,
    step: u16,
}

impl EventWriter {
    /// Queues keys; characters that are none are passed over.
    pub(crate) fn push(&mut self, keys: &str) {
        self.pending.extend(keys.chars().filter_map(event));
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// What to send in this 20 ms; `None` in pauses and when there is nothing left.
    ///
    /// `units` is the RTP timestamp's advance per 20 ms.
    pub(crate) fn next(&mut self, units: u16) -> Option<EventPacket> {
        let number = *self.pending.front()?;
        let step = self.step;
        self.step += 1;
        let last = PRESS_PACKETS + END_PACKETS - 1;
        if step >= last + PAUSE_PACKETS {
            self.pending.pop_front();
            self.step = 0;
        }
        if step >= last {
            return None;
        }
        let end = step + 1 >= PRESS_PACKETS;
        let duration = units.saturating_mul((step + 1).min(PRESS_PACKETS)).to_be_bytes();
        let volume = 10 | if end { 0x80 } else { 0 };
        Some(EventPacket { payload: [number, volume, duration[0], duration[1]], begins: step == 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_keys_are_read_once_each() {
        let (mut writer, mut reader) = (EventWriter::default(), EventReader::default());
        writer.push("1 9*d#");
        let (mut heard, mut timestamp, mut clock, mut ends) = (String::new(), 0, 1000_u32, 0);
        while !writer.is_idle() {
            clock += 160;
            let Some(packet) = writer.next(160) else { continue };
            if packet.begins {
                timestamp = clock;
            }
            ends += u32::from(packet.payload[1] & 0x80 != 0);
            heard.extend(reader.read(timestamp, &packet.payload));
        }
        assert_eq!(heard, "19*D#");
        assert_eq!(ends, 5 * u32::from(END_PACKETS));
    }

    #[test]
    fn short_and_unknown_events_are_no_keys() {
        let mut reader = EventReader::default();
        assert_eq!(reader.read(1, &[1, 2]), None);
        assert_eq!(reader.read(2, &[16, 0, 0, 0]), None);
        assert_eq!(reader.read(3, &[11, 0, 0, 0]), Some('#'));
    }
}
