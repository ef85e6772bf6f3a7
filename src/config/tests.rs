use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::secrets::SecretRef;

/// The smallest trunk, on lines 1 and 2.
const TRUNK: &str = "[trunks.main]\nserver = \"sip.example.com\"\n";

fn trunk(more: &str) -> Result<TrunkConfig, Vec<Problem>> {
    match Config::parse(&format!("{TRUNK}{more}")) {
        Ok(mut config) => Ok(config.trunks.remove("main").unwrap()),
        Err(error) => Err(error.problems().to_vec()),
    }
}

/// The problems of a text, as line, key and message.
fn problems(text: &str) -> Vec<(usize, String, String)> {
    match Config::parse(text) {
        Ok(_) => Vec::new(),
        Err(e) => {
            e.problems().iter().map(|p| (p.line.unwrap_or(0), p.key.clone(), p.message.clone())).collect()
        }
    }
}

/// Checks that a text has exactly these problems: line, key, and words of the message.
fn refuses(text: &str, expected: &[(usize, &str, &str)]) {
    let found = problems(text);
    let fits = found.len() == expected.len()
        && found.iter().zip(expected).all(|(f, e)| f.0 == e.0 && f.1 == e.1 && f.2.contains(e.2));
    assert!(fits, "{text}\nfound {found:#?}\nexpected {expected:#?}");
}

#[test]
fn the_documentation_s_example_is_read() {
    let source = include_str!("../config.rs");
    let example: String = source
        .lines()
        .skip_while(|line| *line != "//! ```toml")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .map(|line| format!("{}\n", line.trim_start_matches("//!").trim_start()))
        .collect();
    let config = Config::parse(&example).unwrap();
    assert_eq!((config.trunks.len(), config.agents.len(), config.endpoint.max_calls), (2, 1, 100));
    let carrier = &config.trunks["carrier"];
    assert_eq!(carrier.password, Some(SecretRef::Env("SIP_PASSWORD".into())));
    assert_eq!((carrier.transport, carrier.srtp), (Transport::Tls, Srtp::Required));
    let pbx = &config.trunks["pbx"];
    assert_eq!((pbx.transport, pbx.srtp, pbx.server.port()), (Transport::Udp, Srtp::Off, Some(5060)));
}

#[test]
fn defaults_are_safe() {
    let trunk = trunk("").unwrap();
    assert_eq!(trunk, TrunkConfig::new("sip.example.com".parse().unwrap()));
    assert_eq!((trunk.transport, trunk.srtp), (Transport::Tls, Srtp::Required));
    assert!(!trunk.danger_accept_any_certificate && !trunk.allow_sdes_without_tls && !trunk.allow_redirects);
    assert_eq!(Config::parse("").unwrap(), Config::default());
    Config::default().validate().unwrap();
}

#[test]
fn every_key_of_a_trunk_is_read() {
    let more = r#"
        profile = "asterisk"
        register = true
        registrar = "reg.example.com"
        user = "u"
        auth_user = "a"
        password = { source = "store", id = "SIP_PASSWORD" }
        realm = "r"
        outbound_proxy = "proxy.example.com:5071"
        transport = "tls"
        ca_file = "/ca.pem"
        client_cert = "/cert.pem"
        client_key = { source = "store", id = "SIP_KEY" }
        tls_server_name = "name.example.com"
        allow_wildcard_certificate = true
        danger_accept_any_certificate = true
        srtp = "optional"
        allow_sdes_without_tls = true
        srtp_suites = ["AEAD_AES_128_GCM"]
        codecs = ["opus", "l16"]
        ptime = "40ms"
        dtmf = "info"
        early_media = false
        jitter_buffer_min = "40ms"
        jitter_buffer_max = "120ms"
        media_timeout = "0s"
        symmetric_rtp = false
        caller_id = "+12025550110"
        caller_name = "Praxis"
        from = "account"
        from_user = "f"
        from_domain = "d.example.com"
        identity = "ppi"
        hide_caller = true
        diversion = "+12025550111"
        number_format = "digits"
        caller_format = "e164"
        user_phone = true
        max_calls = 3
        calls_per_second = 2
        ring_timeout = "1m 30s"
        talk_limit = "1h"
        allow_redirects = true
        callee_transfer_prefixes = ["+4930", "1202"]
        register_expires = "5m"
        keep_alive = "15s"
        local_port = 5080
        public_address = "203.0.113.7"
        stun_server = "stun.example.com"
        record = "both"
        tariff = { rates = [{ prefix = "1", price = "0.01" }] }
    "#;
    let trunk = trunk(more).unwrap();
    let plain = TrunkConfig::new("sip.example.com".parse().unwrap());
    // Each field of the Debug output differs from the default, except the server and the transport.
    let (ours, default) = (format!("{trunk:#?}"), format!("{plain:#?}"));
    for field in
        default.lines().filter(|l| l.starts_with("    ") && l.as_bytes()[4] != b' ' && l.contains(": "))
    {
        let name = field.trim().split(':').next().unwrap();
        let same = ours.lines().any(|line| line == field && !line.ends_with(['(', '[', '{']));
        assert_eq!(same, name == "transport", "{name} has its default");
    }
    assert_eq!((trunk.ring_timeout, trunk.local_port), (Duration::from_secs(90), Some(5080)));
    assert_eq!(trunk.callee_transfer_prefixes, ["4930", "1202"]);
    assert_eq!(trunk.number_format, NumberFormat::Digits);
    assert_eq!(trunk.codecs, [Codec::Opus, Codec::L16]);
    assert_eq!((trunk.auth_user(), trunk.expected_tls_name()), (Some("a"), "name.example.com"));
}

#[test]
fn unknown_keys_are_refused_with_line_and_suggestion() {
    refuses("max_cals = 3", &[(1, "max_cals", "known are default_trunk")]);
    refuses("default_trnk = \"a\"", &[(1, "default_trnk", "did you mean `default_trunk`?")]);
    refuses("[trunk.main]\n", &[(1, "trunk", "[trunks.main]")]);
    refuses("[endpoint]\n\nmax-calls = 3", &[(3, "endpoint.max-calls", "did you mean `max_calls`?")]);
    let cases = [
        ("pasword = 1", "pasword", "did you mean `password`?"),
        ("Register = true", "Register", "did you mean `register`?"),
        ("outboundproxy = \"a\"", "outboundproxy", "did you mean `outbound_proxy`?"),
        ("verify_server = false", "verify_server", "danger_accept_any_certificate"),
        ("insecure_skip_verify = true", "insecure_skip_verify", "danger_accept_any_certificate"),
        ("username = \"u\"", "username", "`user`"),
        ("port = 5060", "port", "server = \"sip.example.com:5061\""),
        ("zzz = 1", "zzz", "known are profile, server, register"),
    ];
    for (line, key, message) in cases {
        refuses(&format!("{TRUNK}{line}"), &[(3, &format!("trunks.main.{key}"), message)]);
    }
}

#[test]
fn name_servers_are_addresses_with_or_without_a_port() {
    let servers = |value: &str| {
        let text = format!("[endpoint]\nnameservers = {value}\n{TRUNK}");
        Config::parse(&text).map(|config| config.endpoint.nameservers)
    };
    let expected: Vec<SocketAddr> =
        ["192.0.2.53:53", "127.0.0.1:5353", "[2001:db8::53]:53", "[2001:db8::53]:54"]
            .map(|a| a.parse().unwrap())
            .to_vec();
    let value = r#"["192.0.2.53", "127.0.0.1:5353", "2001:db8::53", "[2001:db8::53]:54"]"#;
    assert_eq!(servers(value).unwrap(), expected);
    for (wrong, message) in [
        ("[\"ns.example.com\"]", "is an address"),
        ("\"192.0.2.53\"", "sequence"),
        ("[\"0.0.0.0\"]", "can be sent to"),
        ("[\"192.0.2.53:0\"]", "can be sent to"),
    ] {
        let error = servers(wrong).unwrap_err().to_string();
        assert!(error.contains("endpoint.nameservers") && error.contains(message), "{wrong}: {error}");
    }
}

#[test]
fn wrong_values_say_what_would_be_right() {
    let cases = [
        ("transport = \"tsl\"", "transport", "expected one of \"udp\", \"tcp\", \"tls\""),
        ("srtp = true", "srtp", "expected one of \"off\""),
        ("codecs = [\"g711\"]", "codecs", "expected one of \"pcmu\", \"pcma\""),
        ("codecs = []", "codecs", "at least one"),
        ("codecs = [\"pcma\", \"pcma\"]", "codecs", "twice"),
        ("ring_timeout = 60", "ring_timeout", "\"60s\" for 60 seconds"),
        ("ring_timeout = \"60\"", "ring_timeout", "\"90s\""),
        ("ring_timeout = \"25h\"", "ring_timeout", "1s to 24h"),
        ("talk_limit = \"0s\"", "talk_limit", "1s to 24h"),
        ("keep_alive = \"2h\"", "keep_alive", "0s for never"),
        ("register_expires = \"10s\"", "register_expires", "1m to 24h"),
        ("ptime = \"25ms\"", "ptime", "10, 20, 30, 40 or 60"),
        ("dtmf = \"tones\"", "dtmf", "expected one of \"rfc4733\", \"info\", \"inband\""),
        ("dtmf = \"inband\"\ncodecs = [\"pcma\", \"opus\"]", "dtmf", "opus does not keep tones"),
        ("srtp_suites = [\"AES\"]", "srtp_suites", "\"AES_CM_128_HMAC_SHA1_80\""),
        ("srtp_suites = []", "srtp_suites", "at least one"),
        ("srtp_suites = [\"AEAD_AES_128_GCM\", \"aead_aes_128_gcm\"]", "srtp_suites", "twice"),
        ("jitter_buffer_min = \"600ms\"", "jitter_buffer_min", "0ms to 500ms"),
        ("jitter_buffer_max = \"10ms\"", "jitter_buffer_max", "20ms to 1s"),
        ("jitter_buffer_min = \"300ms\"", "jitter_buffer_min", "no more than jitter_buffer_max"),
        ("number_format = \"00\"", "number_format", "{ prefix = \"00\" }"),
        ("number_format = { prefix = \"x\" }", "number_format", "0-9"),
        ("number_format = { suffix = \"0\" }", "number_format", "suffix"),
        ("caller_id = \"+112\"", "caller_id", "7 to 15"),
        ("caller_id = \"a b\"", "caller_id", "extension"),
        ("public_address = \"pbx\"", "public_address", "IP address"),
        ("public_address = \"0.0.0.0\"", "public_address", "others can send to"),
        ("stun_server = \"stun:stun.example.com\"", "stun_server", "port"),
        ("registrar = \"sip:h\"", "registrar", "only the host"),
        ("max_calls = -1", "max_calls", "-1"),
        ("max_calls = 0", "max_calls", "at least 1"),
        ("local_port = 0", "local_port", "free port"),
        ("local_port = 70000", "local_port", "70000"),
        ("callee_transfer_prefixes = [\"+49 30\"]", "callee_transfer_prefixes", "first digits"),
        ("realm = \"a\\nb\"", "realm", "one line"),
        ("from_domain = \"a b\"", "from_domain", "name such as"),
        ("client_key = \"-----BEGIN PRIVATE KEY-----\"", "client_key", "path"),
    ];
    for (line, key, message) in cases {
        let text = format!("{TRUNK}{line}\n");
        let found = problems(&text);
        let hit = found
            .iter()
            .any(|(at, k, m)| *at == 3 && *k == format!("trunks.main.{key}") && m.contains(message));
        assert!(hit, "{line}: {found:#?}");
    }
}

#[test]
fn what_does_not_fit_together_is_told_under_the_key_to_change() {
    let cases = [
        ("register = true", "register", "user"),
        ("registrar = \"r\"", "registrar", "register = true"),
        ("password = { source = \"env\", id = \"A\" }", "password", "user"),
        ("auth_user = \"a\"", "auth_user", "password"),
        ("client_cert = \"/c\"", "client_cert", "client_key"),
        ("client_key = \"/k\"", "client_key", "client_cert"),
        ("transport = \"udp\"\nca_file = \"/c\"", "ca_file", "tls"),
        ("transport = \"tcp\"\ndanger_accept_any_certificate = true", "danger_accept_any_certificate", "tls"),
        ("transport = \"udp\"\nsrtp = \"optional\"", "srtp", "allow_sdes_without_tls"),
        ("transport = \"tcp\"\nsrtp = \"required\"", "srtp", "readable"),
        ("caller_id = \"+12025550110\"\nfrom_user = \"acc\"", "caller_id", "identity"),
    ];
    for (lines, key, message) in cases {
        let found = problems(&format!("{TRUNK}{lines}\n"));
        let [(line, k, m)] = &found[..] else { panic!("{lines}: {found:#?}") };
        assert_eq!(*k, format!("trunks.main.{key}"));
        assert!(*line >= 3 && m.contains(message), "{lines}: {m}");
    }
    trunk("transport = \"udp\"\nsrtp = \"required\"\nallow_sdes_without_tls = true").unwrap();
    trunk("caller_id = \"4711\"\nfrom_user = \"4711\"").unwrap();
    trunk("caller_id = \"+12025550110\"\nfrom_user = \"acc\"\nidentity = \"ppi\"").unwrap();
}

#[test]
fn names_must_exist() {
    refuses("default_trunk = \"x\"", &[(1, "default_trunk", "[trunks.x]")]);
    refuses("default_agent = \"x\"", &[(1, "default_agent", "[agents.x]")]);
    refuses(
        &format!("{TRUNK}[agents.a]\ntrunk = \"mian\""),
        &[(4, "agents.a.trunk", "did you mean \"main\"?")],
    );
    refuses("[trunks.\"a b\"]\nserver = \"h\"", &[(1, "trunks.a b", "letters")]);
    refuses("[agents.\" a\"]", &[(1, "agents. a", "white space")]);
    let nowhere =
        format!("{TRUNK}from_user = \"acc\"\n[agents.a]\ntrunk = \"main\"\ncaller_id = \"+12025550110\"");
    refuses(&nowhere, &[(6, "agents.a.caller_id", "identity")]);
}

#[test]
fn the_endpoint_s_limits_fit_its_ports() {
    refuses("[endpoint]\nmax_calls = 4001", &[(2, "endpoint.max_calls", "1 to 4000")]);
    refuses("[endpoint]\nmax_calls = 0", &[(2, "endpoint.max_calls", "1 to 4000")]);
    refuses("[endpoint]\nrtp_ports = \"4000-4061\"", &[(2, "endpoint.rtp_ports", "room for 31 calls")]);
    refuses("[endpoint]\nrtp_ports = \"4000\"", &[(2, "endpoint.rtp_ports", "\"16384-32767\"")]);
    refuses("[endpoint]\nrtp_ports = \"80-4000\"", &[(2, "endpoint.rtp_ports", "system")]);
    refuses("[endpoint]\nrtp_ports = \"4001-4002\"", &[(2, "endpoint.rtp_ports", "no room")]);
    refuses("[endpoint]\nbind = \"eth0\"", &[(2, "endpoint.bind", "IP address")]);
    refuses("[endpoint.timers]\nt1 = \"10s\"", &[(1, "endpoint.timers", "t1")]);
    refuses("[endpoint.timers]\nt1 = \"1s\"\nt3 = \"1s\"", &[(3, "endpoint.timers.t3", "did you mean")]);
    let config = Config::parse("[endpoint]\nrtp_ports = \"4000-4063\"\nbind = \"::1\"").unwrap();
    assert_eq!((config.endpoint.rtp_ports.pairs(), config.endpoint.rtp_ports.ports()), (32, 4000..=4063));
}

#[test]
fn the_store_is_ours_or_the_host_s() {
    let config = Config::parse("[secrets]\nhome = \"/srv/outdial\"").unwrap();
    assert_eq!(config.secrets.open().store().home(), Path::new("/srv/outdial"));
    let both = "[secrets]\nhome = \"/a\"\nshare_with_host = true\nkey = 1";
    refuses(both, &[(2, "secrets.home", "share_with_host"), (4, "secrets.key", "known are home")]);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_text() {
    let text = "default_trunk = \"b\"\n[endpoint]\nmax_calls = 0\n[trunks.a]\ntransport = \"x\"\nfoo = 1\n[agents.z]\ntrunk = \"c\"\n";
    refuses(
        text,
        &[
            (1, "default_trunk", "there is no trunk"),
            (3, "endpoint.max_calls", "1 to 4000"),
            (4, "trunks.a.server", "is missing"),
            (5, "trunks.a.transport", "expected one of"),
            (6, "trunks.a.foo", "unknown key"),
            (8, "agents.z.trunk", "there is no trunk"),
        ],
    );
    let error = Config::parse(text).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 6);
    assert!(error.starts_with("line 1: default_trunk: there is no trunk \"b\""), "{error}");
}

#[test]
fn tables_must_be_tables_and_toml_must_be_toml() {
    refuses("endpoint = 3", &[(1, "endpoint", "must be a table")]);
    refuses("trunks = []", &[(1, "trunks", "must be a table")]);
    refuses("[trunks]\nmain = \"h\"", &[(2, "trunks.main", "[trunks.main]")]);
    let found = problems("[trunks.main]\nserver = \"h\"\npassword = marker\n");
    assert!(
        !found.is_empty() && found.iter().all(|(line, _, m)| *line == 3 && !m.contains("marker")),
        "{found:?}"
    );
}

#[test]
fn a_secret_in_the_wrong_place_is_refused_and_not_repeated() {
    let lines = [
        "password = \"marker\"",
        "password = { source = \"env\", id = \"A\", value = \"marker\" }",
        "password = [\"marker\"]",
        "secret = \"marker\"",
        "client_key = \"-----BEGIN marker\"",
        "password = \"marker",
        "auth = { password = \"marker\" }",
    ];
    for line in lines {
        let error = Config::parse(&format!("{TRUNK}user = \"u\"\n{line}\n")).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("marker"), "{error:?}");
        assert!(
            !error.problems().is_empty() && error.problems().iter().all(|p| p.line == Some(4)),
            "{error}"
        );
    }
}

#[test]
fn a_file_s_paths_are_taken_from_its_folder_and_its_name_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outdial.toml");
    let text = "user = \"u\"\nca_file = \"ca.pem\"\nclient_cert = \"/abs/cert.pem\"\nclient_key = { source = \"file\", id = \"key.pem\" }\npassword = { source = \"file\", id = \"pw\" }\n";
    std::fs::write(&path, format!("{TRUNK}{text}")).unwrap();
    let config = Config::load(&path).unwrap();
    let trunk = &config.trunks["main"];
    assert_eq!(trunk.ca_file, Some(folder.path().join("ca.pem")));
    assert_eq!(trunk.client_cert, Some(Pem::File("/abs/cert.pem".into())));
    assert_eq!(trunk.client_key, Some(Pem::Secret(SecretRef::File(folder.path().join("key.pem")))));
    assert_eq!(trunk.password, Some(SecretRef::File(folder.path().join("pw"))));

    std::fs::write(&path, format!("{TRUNK}foo = 1\n")).unwrap();
    let error = Config::load(&path).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}:3: trunks.main.foo: ", path.display())), "{error}");
    let missing = Config::load(folder.path().join("none.toml")).unwrap_err();
    assert!(missing.to_string().contains("none.toml") && missing.problems().is_empty());
}

#[test]
fn a_configuration_built_by_hand_is_checked_too() {
    let mut trunk = TrunkConfig::new("192.0.2.1".parse().unwrap());
    trunk.transport = Transport::Udp;
    let mut config = Config::default();
    config.trunks.insert("a".into(), trunk);
    let error = config.validate().unwrap_err();
    assert_eq!((error.problems().len(), error.problems()[0].key.as_str()), (1, "trunks.a.srtp"));
    assert_eq!(error.problems()[0].line, None);
    config.trunks.get_mut("a").unwrap().srtp = Srtp::Off;
    config.validate().unwrap();
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "([a-z_.=\"'\\[\\]{}, 0-9\n#-]|server|trunks|agents|endpoint|password){0,60}") {
        if let Err(error) = Config::parse(&text) {
            prop_assert!(!error.problems().is_empty());
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn a_broken_line_of_a_good_file_is_found(cut in 0_usize..2_000, insert in "[\\PC\n]{0,6}") {
        let mut text = format!("{TRUNK}user = \"u\"\nregister = true\npassword = {{ source = \"env\", id = \"A\" }}\nring_timeout = \"3s\"\n");
        let at = cut % text.len();
        text.insert_str(at, &insert);
        let lines = text.lines().count() + 1;
        if let Err(error) = Config::parse(&text) {
            for problem in error.problems() {
                prop_assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{:?}", problem);
            }
        }
    }
}
