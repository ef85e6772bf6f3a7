//! What people write who know other programs, and what it is called here.

/// Keys of a trunk, and what to say of them.
pub(super) const HINTS: &[(&str, &str)] = &[
    ("host", "the host is called `server`"),
    ("hostname", "the host is called `server`"),
    ("domain", "the host is called `server`, the domain of From `from_domain`"),
    ("port", "the port belongs to the server: server = \"sip.example.com:5061\""),
    ("username", "the account is called `user`"),
    ("secret", "the secret is called `password`"),
    ("proxy", "the proxy is called `outbound_proxy`"),
    ("verify", VERIFY),
    ("verify_server", VERIFY),
    ("verify_cert", VERIFY),
    ("tls_verify", VERIFY),
    ("insecure", VERIFY),
    ("insecure_skip_verify", VERIFY),
    ("tls", "the transport is called `transport`: transport = \"tls\""),
    ("headers", "header fields belong to a request"),
];

const VERIFY: &str = "certificates are always verified; what turns it off is danger_accept_any_certificate";
