//! Hands what pjsip-sys was built from to `src/build_info.rs`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for key in ["VERSION", "PATCHES", "TLS", "SRTP", "CODECS"] {
        let name = format!("DEP_PJSIP_{key}");
        match std::env::var(&name) {
            Ok(value) => println!("cargo::rustc-env=OUTDIAL_{name}={value}"),
            Err(_) => println!("cargo::error=pjsip-sys does not tell {name}"),
        }
    }
}
