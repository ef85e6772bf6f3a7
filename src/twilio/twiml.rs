//! The document that tells Twilio what to do with an answered call.

use super::token::StreamToken;

/// Name of the parameter that carries the stream's token.
pub(super) const TOKEN: &str = "token";

/// Connects the call to the stream at `url`, both ways. When the stream closes there is nothing left to do, and Twilio
/// hangs up. The token is a parameter: addresses are written into the logs of proxies, and Twilio permits no query.
pub(super) fn connect(url: &str, token: &StreamToken) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Connect><Stream url=\"{url}\"><Parameter name=\"{TOKEN}\" \
         value=\"{token}\"/></Stream></Connect></Response>",
        url = escape(url),
        token = token.expose(),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_has_its_address_and_its_token() {
        let token = StreamToken::random();
        let twiml = connect("wss://voice.example.com/a&b/stream/1", &token);
        assert!(twiml.contains("<Stream url=\"wss://voice.example.com/a&amp;b/stream/1\">"), "{twiml}");
        assert!(
            twiml.contains(&format!("<Parameter name=\"token\" value=\"{}\"/>", token.expose())),
            "{twiml}"
        );
        // Twilio takes at most 4,000 characters.
        assert!(twiml.len() < 1_000);
    }
}
