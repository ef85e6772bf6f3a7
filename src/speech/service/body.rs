//! An answer that is read while it is being written.

use std::collections::VecDeque;

use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use tokio::time::timeout;

use super::refusal::Failed;
use super::{Service, samples};
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
