//! What is not in order, made from what is: the same in each run, by a seed.

/// Longest message that is made: with its headers it fits what PJSIP reads of a packet, or nobody would answer it.
const LONGEST: usize = 2_500;

/// Chance, from a seed.
pub struct Noise(u32);

impl Noise {
    pub fn new(seed: u32) -> Self {
        Self(seed)
    }

    pub fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % below.max(1)
    }

    /// A copy with a few bytes changed, taken out or put in.
    pub fn damage(&mut self, input: &[u8]) -> Vec<u8> {
        let mut copy = input.to_vec();
        for _ in 0..=self.next(4) {
            let at = self.next(copy.len());
            let end = (at + self.next(12)).min(copy.len());
            let some: Vec<u8> =
                (0..self.next(12)).map(|_| b"\r\n:;,<>\"=@ \0\xff09aZ%"[self.next(18)]).collect();
            copy.splice(at..end, some);
        }
        copy
    }

    /// A copy of a packet with bits turned, bytes at their limits, its end cut off or more behind it.
    pub fn distort(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut copy = packet.to_vec();
        for _ in 0..=self.next(4) {
            // Headers are where the structure is.
            let reach = if self.next(3) == 0 { copy.len() } else { copy.len().min(20) };
            let at = self.next(reach);
            match self.next(6) {
                0 if !copy.is_empty() => copy[at] ^= 1 << self.next(8),
                1 if !copy.is_empty() => copy[at] = [0, 1, 0x7f, 0x80, 0xff][self.next(5)],
                2 if at + 2 <= copy.len() => {
                    copy[at..at + 2]
                        .copy_from_slice(&[[0, 0], [0xff, 0xff], [0x80, 0], [0, 1]][self.next(4)]);
                }
                3 => copy.truncate(self.next(copy.len() + 1)),
                4 => copy.extend((0..self.next(1_400)).map(|byte| byte as u8)),
                _ => copy = self.damage(&copy),
            }
        }
        copy.truncate(1_472);
        copy
    }

    /// A copy of a text with lines and numbers that are missing, repeated, exchanged, endless or out of range.
    pub fn mangle(&mut self, text: &[u8]) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = lines(text);
        for _ in 0..=self.next(3) {
            if lines.is_empty() {
                break;
            }
            let (at, other) = (self.next(lines.len()), self.next(lines.len()));
            match self.next(9) {
                0 => drop(lines.remove(at)),
                1 => {
                    let times = [1, 2, 20, 70][self.next(4)];
                    let line = lines[at].clone();
                    lines.splice(at..at, std::iter::repeat_n(line, times));
                }
                2 => lines.swap(at, other),
                3 => lines[at] = self.renumber(&lines[at].clone()),
                4 => lines[at] = self.renumber(&lines[other].clone()),
                5 => {
                    let end = self.next(lines[at].len() + 1);
                    lines[at].truncate(end);
                }
                6 => {
                    let (place, byte) = (self.next(lines[at].len() + 1), b"a0 ,;=\"<:\xff"[self.next(10)]);
                    let run = vec![byte; [1, 17, 65, 300, 1_100][self.next(5)]];
                    lines[at].splice(place..place, run);
                }
                7 => {
                    let rest = lines[other].clone();
                    lines[at].extend(rest);
                }
                _ => lines[at] = self.damage(&lines[at].clone()),
            }
        }
        let mut text = lines.join(&b"\r\n"[..]);
        text.extend(b"\r\n");
        text.truncate(LONGEST);
        text
    }

    /// A copy of a line, one of whose numbers is another.
    fn renumber(&mut self, line: &[u8]) -> Vec<u8> {
        const NUMBERS: [&str; 12] = [
            "0",
            "-1",
            "1",
            "127",
            "128",
            "255",
            "256",
            "65535",
            "65536",
            "2147483648",
            "4294967296",
            "99999999999999999999999",
        ];
        let starts: Vec<usize> = (0..line.len())
            .filter(|&at| line[at].is_ascii_digit() && (at == 0 || !line[at - 1].is_ascii_digit()))
            .collect();
        let Some(&start) = starts.get(self.next(starts.len())) else { return self.damage(line) };
        let length = line[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut copy = line.to_vec();
        copy.splice(start..start + length, NUMBERS[self.next(NUMBERS.len())].bytes());
        copy
    }
}

fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    let lines =
        text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec());
    let mut lines: Vec<_> = lines.collect();
    if lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines
}

/// The seeds of this run: two, or as many as `OUTDIAL_SEEDS` says, from `OUTDIAL_SEED` on. Each is printed, so that what
/// fails can be done again.
pub fn seeds() -> impl Iterator<Item = u32> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let (first, count) = (number("OUTDIAL_SEED").unwrap_or(1), number("OUTDIAL_SEEDS").unwrap_or(2));
    (first..first + count).inspect(|seed| println!("OUTDIAL_SEED={seed}"))
}
