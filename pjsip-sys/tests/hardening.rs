//! What this crate is linked into has the protections of a network-facing program.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use object::Endianness;
use object::elf::{
    DF_1_NOW, DF_BIND_NOW, DT_FLAGS, DT_FLAGS_1, ET_DYN, FileHeader64, PF_X, PT_GNU_RELRO, PT_GNU_STACK,
};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
#[cfg(not(sanitized))]
use object::{Object as _, ObjectSymbol as _};
use std::fs;

type Header = FileHeader64<Endianness>;

/// This test itself, with PJSIP in it.
fn program() -> Vec<u8> {
    std::hint::black_box(pjsip_sys::pjsua_init as *const ());
    fs::read("/proc/self/exe").unwrap()
}

#[test]
fn addresses_are_random_and_tables_read_only() {
    let data = program();
    let header = Header::parse(data.as_slice()).unwrap();
    let endian = header.endian().unwrap();
    assert_eq!(header.e_type(endian), ET_DYN, "position-independent");

    let segments = header.program_headers(endian, data.as_slice()).unwrap();
    let flags = |kind| {
        segments.iter().find(|segment| segment.p_type(endian) == kind).map(|segment| segment.p_flags(endian))
    };
    assert!(flags(PT_GNU_RELRO).is_some(), "RELRO");
    assert!(flags(PT_GNU_STACK).is_some_and(|flags| !flags.contains(PF_X)), "stack without execution");

    let dynamic =
        segments.iter().find_map(|segment| segment.dynamic(endian, data.as_slice()).unwrap()).unwrap();
    let now = dynamic.iter().any(|entry| {
        let value = entry.d_val(endian);
        match entry.d_tag(endian) {
            DT_FLAGS => value & DF_BIND_NOW.0 != 0,
            DT_FLAGS_1 => value & DF_1_NOW.0 != 0,
            _ => false,
        }
    });
    assert!(now, "bound at start, or RELRO is only partial");
}

/// Functions that the program takes from shared libraries.
#[cfg(not(sanitized))]
fn imports(data: &[u8]) -> Vec<String> {
    let file = object::File::parse(data).unwrap();
    let undefined = file.dynamic_symbols().filter(|symbol| symbol.is_undefined());
    undefined.flat_map(|symbol| symbol.name().map(str::to_owned)).collect()
}

// Sanitizers take the place of both.
#[cfg(not(sanitized))]
#[test]
fn stacks_and_buffers_are_guarded() {
    let imports = imports(&program());
    for (function, what) in [("__stack_chk_fail", "stack protector"), ("__snprintf_chk", "_FORTIFY_SOURCE")] {
        assert!(imports.iter().any(|name| name == function), "{what}");
    }
}

/// What the network sends reaches assertions of PJSIP: with NDEBUG they end no process.
#[cfg(not(any(sanitized, asserts)))]
#[test]
fn no_assertion_ends_the_process() {
    let imports = imports(&program());
    assert!(imports.len() > 100, "the imports were found");
    assert!(!imports.iter().any(|name| name == "__assert_fail"), "NDEBUG");
}
