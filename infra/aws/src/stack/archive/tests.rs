use super::*;

/// The header of a program for a machine, and some bytes behind it.
fn program(machine: u16) -> Vec<u8> {
    let mut program = [&ELF[..], &[2, 1, 1], &[0; 9], &[3, 0], &machine.to_le_bytes()].concat();
    program.extend((0..5000u32).flat_map(|number| (number / 7).to_le_bytes()));
    program
}

#[test]
fn a_program_becomes_the_same_archive_every_time() {
    let one = Archive::of("bootstrap", program(183)).unwrap();
    assert_eq!(one, Archive::of("elsewhere", program(183)).unwrap());
    assert_eq!(one.architecture, "arm64");
    assert!(one.key.starts_with("functions/") && one.key.ends_with("-arm64.zip"), "{}", one.key);
    let other = Archive::of("bootstrap", program(62)).unwrap();
    assert_eq!(other.architecture, "x86_64");
    assert_ne!(one.key, other.key);
}

#[test]
fn an_archive_is_taken_as_it_is() {
    let packed = Archive::of("bootstrap", program(62)).unwrap();
    let again = Archive::of("functions.zip", packed.bytes.clone()).unwrap();
    assert_eq!(again, packed);
    assert_eq!(unpack(&packed.bytes).unwrap(), program(62));
}

#[test]
fn an_archive_is_what_zips_are() {
    let zip = Archive::of("bootstrap", program(62)).unwrap().bytes;
    assert_eq!(zip[..4], LOCAL);
    assert_eq!(&zip[30..39], PROGRAM.as_bytes());
    // The directory's entry: made on Unix, may be run, begins at 0.
    let at = zip.windows(4).rposition(|four| four == CENTRAL).unwrap();
    assert_eq!(zip[at + 4..at + 6], [20, 3]);
    assert_eq!(u32::from_le_bytes(zip[at + 38..at + 42].try_into().unwrap()) >> 16, 0o100_755);
    assert_eq!(zip[at + 42..at + 46], [0; 4]);
    assert_eq!(zip.len(), at + 46 + PROGRAM.len() + 22);
}

#[test]
fn a_program_for_a_newer_system_is_refused_packed_or_not() {
    let needing = |version: &str| [program(62), version.as_bytes().to_vec(), vec![0]].concat();
    for version in ["GLIBC_2.34", "GLIBC_2.3", "GLIBC_2.2.5"] {
        assert!(Archive::of("bootstrap", needing(version)).is_ok(), "{version}");
    }
    let newer = needing("GLIBC_2.2.5\0GLIBC_2.36");
    let zip = pack(&newer).unwrap();
    for bytes in [newer, zip] {
        let Err(Trouble::Archive { message, .. }) = Archive::of("bootstrap", bytes) else { panic!("taken") };
        assert!(message.contains("needs glibc 2.36, and Lambda has 2.34"), "{message}");
    }
}

#[test]
fn what_lambda_cannot_run_is_refused() {
    let mut zip = Archive::of("bootstrap", program(62)).unwrap().bytes;
    let cut = zip[..zip.len() - 30].to_vec();
    for at in
        zip.windows(9).enumerate().filter(|(_, nine)| *nine == PROGRAM.as_bytes()).map(|(at, _)| at).collect::<Vec<_>>()
    {
        zip[at] = b'B';
    }
    let mut big_endian = program(62);
    big_endian[5] = 2;
    let cases = [
        (b"#!/bin/sh\n".to_vec(), "no program for Linux"),
        (Vec::new(), "no program for Linux"),
        (program(40), "processor that Lambda has not"),
        (big_endian, "processor that Lambda has not"),
        (ELF.to_vec(), "no program for Linux"),
        (zip, "no program `bootstrap`"),
        (cut, "no program `bootstrap`"),
    ];
    for (bytes, wanted) in cases {
        let Err(Trouble::Archive { message, fix }) = Archive::of("x/file", bytes) else { panic!("{wanted}: taken") };
        assert!(message.starts_with("x/file: ") && message.contains(wanted), "{message}");
        assert!(!fix.is_empty());
    }
}
