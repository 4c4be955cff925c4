//! The functions' archive: a zip with the one program `bootstrap` in it. Pure.
//!
//! In: the bytes of a program, or of a zip that holds one. Out: the archive, which processor it is for, and a name made
//! of what it holds: the same program gives the same bytes, so that a second deployment finds nothing to change.

use std::io::{Read, Write};

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use xxhash_rust::xxh3::xxh3_128;

use super::Trouble;

/// What Lambda starts.
const PROGRAM: &str = "bootstrap";
/// The newest glibc that Lambda's `provided.al2023` has is 2.34.
const GLIBC_MINOR_MAX: u32 = 34;
/// Bytes of a program; Lambda unpacks no more than 250 MB.
pub const PROGRAM_BYTES_MAX: u64 = 250 * 1024 * 1024;

const ELF: [u8; 4] = [0x7f, b'E', b'L', b'F'];
const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
/// 1980-01-01, the first day a zip knows: no build time may change the bytes.
const DATE: u16 = 0x21;
/// A regular file that all may read and run, made on Unix.
const MODE: u32 = 0o100_755 << 16;
const UNIX: u16 = 3 << 8 | 20;
const DEFLATED: u16 = 8;

/// An archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The zip.
    pub bytes: Vec<u8>,
    /// The processor, as Lambda calls it.
    pub architecture: &'static str,
    /// Where it goes in the bucket: a hash of the bytes.
    pub key: String,
}

impl Archive {
    /// The archive of a program or of a zip with one. `name`: for messages.
    ///
    /// # Errors
    /// When it is neither, or the program is none that Lambda runs.
    pub fn of(name: &str, file: Vec<u8>) -> Result<Archive, Trouble> {
        if file.len() as u64 > PROGRAM_BYTES_MAX {
            return Err(wrong(name, "it is larger than the 250 MB that Lambda unpacks", "strip the program"));
        }
        let (bytes, architecture) = if file.starts_with(&LOCAL) {
            let program = unpack(&file)
                .ok_or_else(|| wrong(name, "this zip has no program `bootstrap` at its top that can be read", BUILD))?;
            (file, runnable(name, &program)?)
        } else {
            let architecture = runnable(name, &file)?;
            (pack(&file).map_err(|why| wrong(name, &why.to_string(), BUILD))?, architecture)
        };
        let key = format!("functions/{:032x}-{architecture}.zip", xxh3_128(&bytes));
        Ok(Archive { bytes, architecture, key })
    }
}

const BUILD: &str = "build it with `cargo build --profile dist -p tidemill-lambda` for Linux, and give the program \
                     `bootstrap` or a zip that holds it";

fn wrong(name: &str, reason: &str, fix: &str) -> Trouble {
    Trouble::Archive { message: format!("{name}: {reason}"), fix: fix.to_owned() }
}

/// The processor a program was built for, by its ELF header.
fn architecture(name: &str, program: &[u8]) -> Result<&'static str, Trouble> {
    let machine =
        program.get(18..20).filter(|_| program.starts_with(&ELF)).map(|two| u16::from_le_bytes([two[0], two[1]]));
    let is_64_little = program.get(4..6) == Some(&[2, 1]);
    match machine {
        None => Err(wrong(name, "this is no program for Linux", BUILD)),
        Some(62) if is_64_little => Ok("x86_64"),
        Some(183) if is_64_little => Ok("arm64"),
        Some(_) => {
            Err(wrong(name, "this program is for a processor that Lambda has not", "build it for x86_64 or aarch64"))
        }
    }
}

/// The processor of a program that Lambda can run.
fn runnable(name: &str, program: &[u8]) -> Result<&'static str, Trouble> {
    let architecture = architecture(name, program)?;
    match glibc_minor(program).filter(|minor| *minor > GLIBC_MINOR_MAX) {
        None => Ok(architecture),
        Some(minor) => Err(wrong(
            name,
            &format!("it needs glibc 2.{minor}, and Lambda has 2.{GLIBC_MINOR_MAX}"),
            "build it where glibc is older, as infra/Dockerfile does",
        )),
    }
}

/// The newest `GLIBC_2.x` a program names: those are the versions it links against.
fn glibc_minor(program: &[u8]) -> Option<u32> {
    const VERSION: &[u8] = b"GLIBC_2.";
    let at = program.windows(VERSION.len()).enumerate().filter(|(_, bytes)| *bytes == VERSION).map(|(at, _)| at);
    let minor = |at: usize| {
        let digits = program[at + VERSION.len()..].iter().take_while(|byte| byte.is_ascii_digit()).take(4);
        digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
    };
    at.map(minor).max()
}

/// A zip of one program, of which every byte is told by the program.
fn pack(program: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::new(6));
    deflate.write_all(program)?;
    let packed = deflate.finish()?;
    let mut crc = Crc::new();
    crc.update(program);
    let size = |length: usize| u32::try_from(length).map_err(std::io::Error::other);
    let mut about = Vec::new();
    for field in [20, 0, DEFLATED, 0, DATE] {
        about.extend(u16::to_le_bytes(field));
    }
    for field in [crc.sum(), size(packed.len())?, size(program.len())?] {
        about.extend(u32::to_le_bytes(field));
    }
    about.extend(u16::to_le_bytes(PROGRAM.len() as u16));
    about.extend(u16::to_le_bytes(0));
    let mut zip = [&LOCAL[..], &about, PROGRAM.as_bytes(), &packed].concat();
    let directory = size(zip.len())?;
    zip.extend(CENTRAL);
    zip.extend(u16::to_le_bytes(UNIX));
    zip.extend(&about);
    // No comment, disk 0, no internal attributes.
    zip.extend([0; 6]);
    zip.extend(u32::to_le_bytes(MODE));
    zip.extend(u32::to_le_bytes(0));
    zip.extend(PROGRAM.as_bytes());
    let end = size(zip.len())?;
    zip.extend(END);
    zip.extend([0; 4]);
    zip.extend([1, 0, 1, 0]);
    zip.extend(u32::to_le_bytes(end - directory));
    zip.extend(u32::to_le_bytes(directory));
    zip.extend([0; 2]);
    Ok(zip)
}

/// The program `bootstrap` of a zip, by the directory at its end; `None` when it is not there.
fn unpack(zip: &[u8]) -> Option<Vec<u8>> {
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let field = zip.get(at..at.checked_add(bytes)?)?;
        Some(field.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    let end = zip.windows(4).rposition(|four| four == END)?;
    let (entries, mut at) = (number(end + 10, 2)?, number(end + 16, 4)?);
    for _ in 0..entries {
        if zip.get(at..at + 4)? != CENTRAL {
            return None;
        }
        let (method, packed) = (number(at + 10, 2)?, number(at + 20, 4)?);
        let (name, extra, comment) = (number(at + 28, 2)?, number(at + 30, 2)?, number(at + 32, 2)?);
        if zip.get(at + 46..at + 46 + name)? == PROGRAM.as_bytes() {
            let local = number(at + 42, 4)?;
            let from = local + 30 + number(local + 26, 2)? + number(local + 28, 2)?;
            return inflated(zip.get(from..from.checked_add(packed)?)?, method);
        }
        at += 46 + name + extra + comment;
    }
    None
}

/// A packed file as it was, no longer than a program may be.
fn inflated(packed: &[u8], method: usize) -> Option<Vec<u8>> {
    let mut program = Vec::new();
    let read = match method {
        0 => packed.take(PROGRAM_BYTES_MAX).read_to_end(&mut program),
        8 => flate2::read::DeflateDecoder::new(packed).take(PROGRAM_BYTES_MAX).read_to_end(&mut program),
        _ => return None,
    };
    read.ok().map(|_| program)
}

#[cfg(test)]
mod tests;
