//! What was compiled in.

use std::fmt;

/// What this build consists of; `outdial --version` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuildInfo {
    /// Version of this crate.
    pub version: &'static str,
    /// Version of PJSIP, as upstream numbers it.
    pub pjsip: &'static str,
    /// How many of our patches PJSIP was compiled with.
    pub patches: usize,
    /// TLS library, with the version that PJSIP and libsrtp were compiled against.
    pub tls: &'static str,
    /// SRTP library and its version.
    pub srtp: &'static str,
    /// Names of the audio codecs, as in SDP.
    pub codecs: Vec<&'static str>,
}

/// What this build consists of.
pub fn build_info() -> BuildInfo {
    BuildInfo {
        version: env!("CARGO_PKG_VERSION"),
        pjsip: env!("OUTDIAL_DEP_PJSIP_VERSION"),
        // The build script of pjsip-sys writes a number.
        patches: env!("OUTDIAL_DEP_PJSIP_PATCHES").parse().unwrap_or_default(),
        tls: env!("OUTDIAL_DEP_PJSIP_TLS"),
        srtp: env!("OUTDIAL_DEP_PJSIP_SRTP"),
        codecs: env!("OUTDIAL_DEP_PJSIP_CODECS").split(',').collect(),
    }
}

impl fmt::Display for BuildInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patches = if self.patches == 1 { "patch" } else { "patches" };
        writeln!(formatter, "outdial {}", self.version)?;
        writeln!(formatter, "PJSIP {} with {} {patches}", self.pjsip, self.patches)?;
        writeln!(formatter, "TLS: {}", self.tls)?;
        writeln!(formatter, "SRTP: {}", self.srtp)?;
        write!(formatter, "Codecs: {}", self.codecs.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_build() {
        let info = build_info();
        assert_eq!(info.pjsip, "2.17");
        assert!(info.tls.starts_with("OpenSSL "), "{}", info.tls);
        assert_eq!(info.srtp, "libsrtp 2.7.0");
        assert_eq!(info.codecs[..5], ["PCMU", "PCMA", "G722", "L16", "opus"]);
    }

    #[test]
    fn text() {
        let info = BuildInfo {
            version: "0.1.0",
            pjsip: "2.17",
            patches: 1,
            tls: "OpenSSL 3.0.19",
            srtp: "libsrtp 2.7.0",
            codecs: vec!["PCMU", "opus"],
        };
        assert_eq!(
            info.to_string(),
            "outdial 0.1.0\nPJSIP 2.17 with 1 patch\nTLS: OpenSSL 3.0.19\nSRTP: libsrtp 2.7.0\nCodecs: PCMU, opus"
        );
    }
}
