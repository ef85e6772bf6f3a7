//! The two questions of a check (RFC 3261 sections 10 and 11): OPTIONS and REGISTER, without or with our credentials.
//! Neither changes anything at the server: a REGISTER without a Contact only asks (section 10.2.3).

use std::net::SocketAddr;

use outdial::config::TrunkConfig;

/// A request, to be sent over one connection.
pub(super) struct Request<'a> {
    pub(super) method: &'static str,
    agent: &'a str,
    trunk: &'a TrunkConfig,
    pub(super) call_id: String,
    tag: u64,
    pub(super) sequence: u32,
    /// The header field that answers a challenge.
    authorization: Option<(&'static str, String)>,
}

impl<'a> Request<'a> {
    pub(super) fn options(agent: &'a str, trunk: &'a TrunkConfig) -> Self {
        Self::new("OPTIONS", agent, trunk)
    }

    pub(super) fn register(agent: &'a str, trunk: &'a TrunkConfig) -> Self {
        Self::new("REGISTER", agent, trunk)
    }

    fn new(method: &'static str, agent: &'a str, trunk: &'a TrunkConfig) -> Self {
        let call_id = format!("{:032x}", rand::random::<u128>());
        Self { method, agent, trunk, call_id, tag: rand::random(), sequence: 1, authorization: None }
    }

    /// The same request again, with an answer to the challenge of the first.
    pub(super) fn with(self, authorization: (&'static str, String)) -> Self {
        Self { sequence: self.sequence + 1, authorization: Some(authorization), ..self }
    }

    /// Where it goes to, as the digest counts it.
    pub(super) fn uri(&self) -> String {
        let registrar = if self.method == "REGISTER" { self.trunk.registrar_uri() } else { None };
        let server = || format!("sip:{};transport={}", self.trunk.server, self.trunk.transport.as_str());
        registrar.unwrap_or_else(server)
    }

    /// As it is sent from `local`.
    pub(super) fn text(&self, local: SocketAddr) -> String {
        let Self { method, agent, trunk, call_id, tag, sequence, .. } = self;
        let target = self.uri();
        let transport = trunk.transport.as_str().to_uppercase();
        let own =
            trunk.address_of_record().unwrap_or_else(|| format!("sip:anonymous@{}", trunk.server.uri_host()));
        let to = if *method == "REGISTER" { own.clone() } else { target.clone() };
        let route = trunk.proxy_uri().map(|proxy| format!("Route: <{proxy}>\r\n")).unwrap_or_default();
        let authorization = self.authorization.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let authorization: String = authorization.collect();
        let branch = rand::random::<u64>();
        format!(
            "{method} {target} SIP/2.0\r\n\
             Via: SIP/2.0/{transport} {local};rport;branch=z9hG4bK{branch:016x}\r\n\
             Max-Forwards: 70\r\n\
             {route}From: <{own}>;tag={tag:016x}\r\n\
             To: <{to}>\r\n\
             Call-ID: {call_id}\r\n\
             CSeq: {sequence} {method}\r\n\
             {authorization}User-Agent: {agent}\r\n\
             Accept: application/sdp\r\n\
             Content-Length: 0\r\n\r\n"
        )
    }
}
