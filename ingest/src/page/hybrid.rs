//! Parquet's hybrid of run lengths and bit packing: small whole numbers in as few bits as they take.
//!
//! In: numbers below `1 << width`. Out: the bytes of levels and of dictionary codes.

use crate::varint::put_varint;

/// Equal numbers from which on a run is told by its length.
const RUN_MIN: usize = 8;
/// Numbers packed together.
const GROUP: usize = 8;

/// Bits that numbers below `count` take; at least one.
pub(super) fn width(count: usize) -> u8 {
    (usize::BITS - count.saturating_sub(1).leading_zeros()).max(1) as u8
}

/// Appends numbers, each of at most `width` bits.
pub(super) fn write(out: &mut Vec<u8>, numbers: &[u32], width: u8) {
    let (mut packed, mut at) = (0, 0);
    while at < numbers.len() {
        let run = numbers[at..].iter().take_while(|number| **number == numbers[at]).count();
        if run >= RUN_MIN {
            pack(out, &numbers[packed..at], width);
            put_varint(out, (run as u64) << 1);
            out.extend_from_slice(&numbers[at].to_le_bytes()[..usize::from(width).div_ceil(8)]);
            at += run;
            packed = at;
        } else {
            // Whole groups, so that what is packed before a run never needs filling up.
            at = (at + GROUP).min(numbers.len());
        }
    }
    pack(out, &numbers[packed..], width);
}

fn pack(out: &mut Vec<u8>, numbers: &[u32], width: u8) {
    if numbers.is_empty() {
        return;
    }
    put_varint(out, (numbers.len().div_ceil(GROUP) as u64) << 1 | 1);
    let (mut held, mut bits) = (0u64, 0);
    for number in
        numbers.iter().copied().chain(std::iter::repeat_n(0, numbers.len().next_multiple_of(GROUP) - numbers.len()))
    {
        held |= u64::from(number) << bits;
        bits += u32::from(width);
        while bits >= 8 {
            out.push(held as u8);
            held >>= 8;
            bits -= 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader of the format makes of the bytes.
    fn read(bytes: &[u8], width: u8, count: usize) -> Vec<u32> {
        let (mut at, mut numbers) = (0, Vec::new());
        while numbers.len() < count {
            let (mut header, mut shift) = (0u64, 0);
            loop {
                header |= u64::from(bytes[at] & 0x7F) << shift;
                at += 1;
                shift += 7;
                if bytes[at - 1] & 0x80 == 0 {
                    break;
                }
            }
            if header & 1 == 0 {
                let wide = usize::from(width).div_ceil(8);
                let number = bytes[at..at + wide].iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
                at += wide;
                numbers.extend(std::iter::repeat_n(number, (header >> 1) as usize));
            } else {
                for nth in 0..(header >> 1) as usize * GROUP {
                    let bit = |of: usize| u32::from(bytes[at + of / 8] >> (of % 8) & 1);
                    let from = nth * usize::from(width);
                    numbers.push((0..usize::from(width)).map(|nth| bit(from + nth) << nth).sum());
                }
                at += (header >> 1) as usize * usize::from(width);
            }
        }
        assert_eq!(at, bytes.len());
        numbers.truncate(count);
        numbers
    }

    #[test]
    fn numbers_come_back() {
        let mut state = 7u32;
        for width in 1..=20u8 {
            for length in [0, 1, 7, 8, 9, 63, 64, 65, 1_000] {
                let numbers: Vec<u32> = (0..length)
                    .map(|at| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        // Runs of all lengths between numbers that differ.
                        if at / 13 % 3 == 0 { 1 } else { (state >> 8) & ((1 << width) - 1) }
                    })
                    .collect();
                let mut bytes = Vec::new();
                write(&mut bytes, &numbers, width);
                assert_eq!(read(&bytes, width, length), numbers, "{width} bits, {length} numbers");
            }
        }
        assert_eq!((width(0), width(1), width(2), width(3), width(256), width(257)), (1, 1, 1, 2, 8, 9));
    }
}
