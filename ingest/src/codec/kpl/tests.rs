use proptest::prelude::*;

use super::*;

/// A frame around a message of one's own, its checksum right.
fn framed(message: &[u8]) -> Vec<u8> {
    [KPL_MAGIC.as_slice(), message, &Md5::digest(message)].concat()
}

#[test]
fn what_is_not_aggregated_passes_through() {
    for record in [&b""[..], b"{}", b"\xF3\x89\x9A", b"{\"id\":\"\xF3\x89\x9A\xC2\"}"] {
        assert_eq!(unpack(record), Ok(vec![record]));
    }
}

/// Bytes as aws_kinesis_agg 1.2.3 writes them: keys `a` and `b`, an explicit hash key, records `one` and `two`.
#[test]
fn a_record_of_another_library_is_unpacked() {
    let message =
        [&b"\x0A\x01a\x0A\x01b\x12\x0212"[..], b"\x1A\x09\x08\x00\x10\x00\x1A\x03one", b"\x1A\x07\x08\x01\x1A\x03two"]
            .concat();
    assert_eq!(unpack(&framed(&message)), Ok(vec![&b"one"[..], b"two"]));
}

#[test]
fn a_field_of_the_future_is_stepped_over() {
    let message = b"\x0A\x01a\x20\x05\x29\0\0\0\0\0\0\0\0\x35\0\0\0\0\x1A\x07\x08\x00\x1A\x01x\x20\x01";
    assert_eq!(unpack(&framed(message)), Ok(vec![&b"x"[..]]));
}

#[test]
fn every_cut_and_every_flipped_bit_is_noticed() {
    let record = pack("key", &[b"first", b"second"]);
    for length in KPL_MAGIC.len()..record.len() {
        let found = unpack(&record[..length]);
        assert!(matches!(found, Err(KplError::CutOff(_) | KplError::Checksum)), "{length}: {found:?}");
    }
    for at in KPL_MAGIC.len()..record.len() {
        for bit in 0..8 {
            let mut damaged = record.clone();
            damaged[at] ^= 1 << bit;
            assert_eq!(unpack(&damaged), Err(KplError::Checksum), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn lengths_that_lie_are_named() {
    let claim = b"\x0A\x01a\x1A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F";
    let record = framed(claim);
    let found = unpack(&record);
    assert_eq!(found, Err(KplError::Length { at: 17, claimed: u64::MAX >> 1, left: 0 }));
    let record = framed(b"\x0A\x01a\x1A\x04\x08\x00\x1A\x7F");
    assert_eq!(unpack(&record), Err(KplError::Length { at: 13, claimed: 127, left: 0 }));
}

#[test]
fn messages_that_are_none_are_named() {
    for (message, why) in [
        (&b"\x0A"[..], "it ends within a number"),
        (b"\x0B\x00", "a field of a type there is not"),
        (b"\x08\x00", "a field of another type"),
        (b"\x0A\x01a\x18\x00", "a field of another type"),
        (b"\x0A\x01a\x1A\x02\x08\x00", "a user record without bytes"),
        (b"\x0A\x01a\x1A\x03\x1A\x01x", "a user record without its partition key's number"),
        (b"\x1A\x05\x08\x00\x1A\x01x", "a user record names a partition key that is not there"),
        (b"\x20\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", "a number beyond 64 bits"),
    ] {
        let record = framed(message);
        let found = unpack(&record);
        assert!(matches!(found, Err(KplError::Message { why: found, .. }) if found == why), "{why}: {found:?}");
    }
}

#[test]
fn an_aggregated_record_within_another_is_refused() {
    let inner = pack("key", &[b"x"]);
    assert_eq!(unpack(&pack("key", &[b"y", &inner])), Err(KplError::Nested(1)));
}

proptest! {
    #[test]
    fn what_was_packed_is_unpacked(records in proptest::collection::vec(any::<Vec<u8>>(), 0..20)) {
        let parts: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let packed = pack("key", &parts);
        prop_assert_eq!(unpack(&packed), Ok(parts));
    }

    #[test]
    fn no_message_makes_it_panic(message in any::<Vec<u8>>()) {
        let _ = unpack(&framed(&message));
        let _ = unpack(&message);
    }
}
