//! An answer that is read while it is being written.

use std::collections::VecDeque;

use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use tokio::time::timeout;

use super::Service;
use super::refusal::Failed;
use crate::speech::AdapterError;

/// The parts of an answer's body. What is not taken waits at the server.
pub(in crate::speech) struct Body {
    response: Response,
    /// The first part, which has come.
    ready: VecDeque<Vec<u8>>,
}

impl Body {
    /// Waits for the first part.
    pub(super) async fn begin(service: &Service, response: Response) -> Result<Self, Failed> {
        let mut body = Self { response, ready: VecDeque::new() };
        let limit = service.limits.first_byte;
        let first = timeout(limit, body.response.chunk()).await;
        let first = first.map_err(|_| Failed::last(service.late("the first byte", limit)))?;
        body.ready.extend(first.map_err(|_| Failed::again(service.cut_off()))?.map(Into::into));
        Ok(body)
    }

    /// The media type, without its parameters.
    pub(in crate::speech) fn media_type(&self) -> Option<String> {
        let value = self.response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
        Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// Whether it can be raw PCM.
    pub(in crate::speech) fn is_pcm(&self, service: &Service) -> Result<(), AdapterError> {
        const OTHERS: [&str; 6] = ["json", "text/", "mpeg", "wav", "ogg", "flac"];
        match self.media_type() {
            Some(kind) if OTHERS.iter().any(|other| kind.contains(other)) => {
                Err(service.malformed(format!("{kind} in the place of PCM")))
            }
            _ => Ok(()),
        }
    }

    /// The next part; `None` at the end of the whole.
    pub(in crate::speech) async fn next(
        &mut self,
        service: &Service,
    ) -> Result<Option<Vec<u8>>, AdapterError> {
        if let Some(ready) = self.ready.pop_front() {
            return Ok(Some(ready));
        }
        let limit = service.limits.idle;
        let part = timeout(limit, self.response.chunk()).await;
        let part = part.map_err(|_| service.late("the next part of an answer", limit))?;
        Ok(part.map_err(|_| service.cut_off())?.map(Into::into))
    }

    /// The next samples of an answer that is 16-bit little-endian PCM. `odd` keeps a byte whose other half is still to
    /// come.
    pub(in crate::speech) async fn next_samples(
        &mut self,
        service: &Service,
        odd: &mut Option<u8>,
    ) -> Result<Option<Vec<i16>>, AdapterError> {
        match self.next(service).await? {
            Some(part) => Ok(Some(samples(&part, odd))),
            None if odd.is_some() => Err(service.malformed("it ends in the middle of a sample")),
            None => Ok(None),
        }
    }
}

/// 16-bit little-endian PCM in parts of any length.
pub(in crate::speech) fn samples(part: &[u8], odd: &mut Option<u8>) -> Vec<i16> {
    let mut samples = Vec::with_capacity(part.len() / 2 + 1);
    let mut rest = part;
    if let (Some(low), Some((high, after))) = (*odd, part.split_first()) {
        samples.push(i16::from_le_bytes([low, *high]));
        (*odd, rest) = (None, after);
    }
    let pairs = rest.chunks_exact(2);
    if let [last] = pairs.remainder() {
        *odd = Some(*last);
    }
    samples.extend(pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_whole_wherever_the_network_cuts_them() {
        let sound: Vec<i16> = (0..50).map(|n| n * 1_000 - 25_000).map(|n: i32| n as i16).collect();
        let bytes: Vec<u8> = sound.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        for length in 1..=7 {
            let mut odd = None;
            let heard: Vec<i16> = bytes.chunks(length).flat_map(|part| samples(part, &mut odd)).collect();
            assert_eq!((heard, odd), (sound.clone(), None), "{length}");
        }
        let mut odd = None;
        assert!(samples(&[], &mut odd).is_empty());
        assert_eq!((samples(&bytes[..3], &mut odd).len(), odd), (1, Some(bytes[2])));
    }
}
