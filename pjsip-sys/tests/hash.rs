//! Hash tables whose keys peers choose.

mod support;

use pjsip_sys::*;
use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;
use support::Lib;

/// Keys that all have one `pj_hash_calc`, which is h*33+c: "Ab" (65*33+98) and "BA" (66*33+65) are
/// the same to it.
fn colliding(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| {
            let pairs = (0..16).map(|bit| if number >> bit & 1 == 1 { "Ab" } else { "BA" });
            format!("z9hG4bK{}", pairs.collect::<String>())
        })
        .collect()
}

/// The most keys that one bucket of a table with all of them has.
fn fullest_bucket(lib: &Lib, keys: &[String]) -> usize {
    let value = ptr::dangling_mut::<c_void>();
    let mut buckets = HashMap::<_, usize>::new();
    // SAFETY: the table lives in the pool; keys are copied by it and valid for their length; the
    // iterator is zeroed, filled by the first call, and the table does not change meanwhile.
    unsafe {
        let table = pj_hash_create(lib.pool, keys.len() as u32);
        for key in keys {
            pj_hash_set(lib.pool, table, key.as_ptr().cast(), key.len() as u32, 0, value);
        }
        assert_eq!(pj_hash_count(table) as usize, keys.len());
        for key in keys {
            let found = pj_hash_get(table, key.as_ptr().cast(), key.len() as u32, ptr::null_mut());
            assert_eq!(found, value, "{key}");
        }
        let mut iterator = std::mem::zeroed::<pj_hash_iterator_t>();
        let mut entry = pj_hash_first(table, &mut iterator);
        while !entry.is_null() {
            *buckets.entry(iterator.index).or_default() += 1;
            entry = pj_hash_next(table, entry);
        }
    }
    buckets.into_values().max().unwrap_or_default()
}

fn calc(key: &str) -> u32 {
    // SAFETY: valid for its length.
    unsafe { pj_hash_calc(0, key.as_ptr().cast(), key.len() as u32) }
}

#[test]
fn colliding_branches_do_not_share_a_bucket() {
    const COUNT: usize = 10_000;

    let lib = Lib::new();
    let bad = colliding(COUNT);
    assert!(bad.iter().all(|key| calc(key) == calc(&bad[0])), "the keys do collide");

    // 10,000 keys thrown at 16,384 buckets: more than 20 in one is not expected in this universe.
    assert!(fullest_bucket(&lib, &bad) < 20);
}

#[test]
fn a_value_reported_by_a_lookup_finds_again() {
    let lib = Lib::new();
    let key = "branch";
    let value = ptr::dangling_mut::<c_void>();
    // SAFETY: as above.
    unsafe {
        let table = pj_hash_create(lib.pool, 16);
        let mut hval = 0;
        assert!(pj_hash_get(table, key.as_ptr().cast(), key.len() as u32, &mut hval).is_null());
        assert_eq!(hval, calc(key));
        pj_hash_set(lib.pool, table, key.as_ptr().cast(), key.len() as u32, hval, value);
        assert_eq!(pj_hash_get(table, key.as_ptr().cast(), key.len() as u32, &mut hval), value);
        pj_hash_set(ptr::null_mut(), table, key.as_ptr().cast(), key.len() as u32, 0, ptr::null_mut());
        assert_eq!(pj_hash_count(table), 0);
    }
}
