//! MD5, for the checksum of aggregated records: RFC 1321, whole messages only.
//!
//! In: bytes. Out: their digest. It guards against damage, never against an attacker, and nothing but a record's frame
//! is checked with it. Every step waits for the one before, so the functions are written for the shortest such chain.

/// Bytes of a digest.
pub const MD5_BYTES: usize = 16;
/// Bytes taken at a time.
const BLOCK_BYTES: usize = 64;
/// Bytes of the message's length at the end of the last block.
const LENGTH_BYTES: usize = 8;

/// The digest of a message.
pub fn md5(message: &[u8]) -> [u8; MD5_BYTES] {
    let mut state = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476];
    let (blocks, rest) = message.as_chunks::<BLOCK_BYTES>();
    blocks.iter().for_each(|block| compress(&mut state, block));
    // The rest, one bit, zeros, and the length in bits: one block more, or two.
    let mut last = [0u8; 2 * BLOCK_BYTES];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x80;
    let end = if rest.len() < BLOCK_BYTES - LENGTH_BYTES { BLOCK_BYTES } else { 2 * BLOCK_BYTES };
    let bits = (message.len() as u64).wrapping_mul(8);
    last[end - LENGTH_BYTES..end].copy_from_slice(&bits.to_le_bytes());
    last[..end].as_chunks::<BLOCK_BYTES>().0.iter().for_each(|block| compress(&mut state, block));
    let mut digest = [0; MD5_BYTES];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_le_bytes();
    }
    digest
}

/// Mixes one block into the state.
#[rustfmt::skip]
fn compress(state: &mut [u32; 4], block: &[u8; BLOCK_BYTES]) {
    let mut m = [0u32; 16];
    for (word, bytes) in m.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let [mut a, mut b, mut c, mut d] = *state;
    // Word, constant and shift of one step; the function's two halves are added one after the other, so that only
    // the one that needs `b` waits for it.
    macro_rules! step {
        ($f:ident, $a:ident, $b:ident, $c:ident, $d:ident, $at:literal, $k:literal, $s:literal) => {
            $a = $f($a.wrapping_add(m[$at]).wrapping_add($k), $b, $c, $d).rotate_left($s).wrapping_add($b);
        };
    }
    step!(choose, a, b, c, d, 0, 0xD76A_A478, 7); step!(choose, d, a, b, c, 1, 0xE8C7_B756, 12);
    step!(choose, c, d, a, b, 2, 0x2420_70DB, 17); step!(choose, b, c, d, a, 3, 0xC1BD_CEEE, 22);
    step!(choose, a, b, c, d, 4, 0xF57C_0FAF, 7); step!(choose, d, a, b, c, 5, 0x4787_C62A, 12);
    step!(choose, c, d, a, b, 6, 0xA830_4613, 17); step!(choose, b, c, d, a, 7, 0xFD46_9501, 22);
    step!(choose, a, b, c, d, 8, 0x6980_98D8, 7); step!(choose, d, a, b, c, 9, 0x8B44_F7AF, 12);
    step!(choose, c, d, a, b, 10, 0xFFFF_5BB1, 17); step!(choose, b, c, d, a, 11, 0x895C_D7BE, 22);
    step!(choose, a, b, c, d, 12, 0x6B90_1122, 7); step!(choose, d, a, b, c, 13, 0xFD98_7193, 12);
    step!(choose, c, d, a, b, 14, 0xA679_438E, 17); step!(choose, b, c, d, a, 15, 0x49B4_0821, 22);
    step!(choose_other, a, b, c, d, 1, 0xF61E_2562, 5); step!(choose_other, d, a, b, c, 6, 0xC040_B340, 9);
    step!(choose_other, c, d, a, b, 11, 0x265E_5A51, 14); step!(choose_other, b, c, d, a, 0, 0xE9B6_C7AA, 20);
    step!(choose_other, a, b, c, d, 5, 0xD62F_105D, 5); step!(choose_other, d, a, b, c, 10, 0x0244_1453, 9);
    step!(choose_other, c, d, a, b, 15, 0xD8A1_E681, 14); step!(choose_other, b, c, d, a, 4, 0xE7D3_FBC8, 20);
    step!(choose_other, a, b, c, d, 9, 0x21E1_CDE6, 5); step!(choose_other, d, a, b, c, 14, 0xC337_07D6, 9);
    step!(choose_other, c, d, a, b, 3, 0xF4D5_0D87, 14); step!(choose_other, b, c, d, a, 8, 0x455A_14ED, 20);
    step!(choose_other, a, b, c, d, 13, 0xA9E3_E905, 5); step!(choose_other, d, a, b, c, 2, 0xFCEF_A3F8, 9);
    step!(choose_other, c, d, a, b, 7, 0x676F_02D9, 14); step!(choose_other, b, c, d, a, 12, 0x8D2A_4C8A, 20);
    step!(parity, a, b, c, d, 5, 0xFFFA_3942, 4); step!(parity, d, a, b, c, 8, 0x8771_F681, 11);
    step!(parity, c, d, a, b, 11, 0x6D9D_6122, 16); step!(parity, b, c, d, a, 14, 0xFDE5_380C, 23);
    step!(parity, a, b, c, d, 1, 0xA4BE_EA44, 4); step!(parity, d, a, b, c, 4, 0x4BDE_CFA9, 11);
    step!(parity, c, d, a, b, 7, 0xF6BB_4B60, 16); step!(parity, b, c, d, a, 10, 0xBEBF_BC70, 23);
    step!(parity, a, b, c, d, 13, 0x289B_7EC6, 4); step!(parity, d, a, b, c, 0, 0xEAA1_27FA, 11);
    step!(parity, c, d, a, b, 3, 0xD4EF_3085, 16); step!(parity, b, c, d, a, 6, 0x0488_1D05, 23);
    step!(parity, a, b, c, d, 9, 0xD9D4_D039, 4); step!(parity, d, a, b, c, 12, 0xE6DB_99E5, 11);
    step!(parity, c, d, a, b, 15, 0x1FA2_7CF8, 16); step!(parity, b, c, d, a, 2, 0xC4AC_5665, 23);
    step!(nested, a, b, c, d, 0, 0xF429_2244, 6); step!(nested, d, a, b, c, 7, 0x432A_FF97, 10);
    step!(nested, c, d, a, b, 14, 0xAB94_23A7, 15); step!(nested, b, c, d, a, 5, 0xFC93_A039, 21);
    step!(nested, a, b, c, d, 12, 0x655B_59C3, 6); step!(nested, d, a, b, c, 3, 0x8F0C_CC92, 10);
    step!(nested, c, d, a, b, 10, 0xFFEF_F47D, 15); step!(nested, b, c, d, a, 1, 0x8584_5DD1, 21);
    step!(nested, a, b, c, d, 8, 0x6FA8_7E4F, 6); step!(nested, d, a, b, c, 15, 0xFE2C_E6E0, 10);
    step!(nested, c, d, a, b, 6, 0xA301_4314, 15); step!(nested, b, c, d, a, 13, 0x4E08_11A1, 21);
    step!(nested, a, b, c, d, 4, 0xF753_7E82, 6); step!(nested, d, a, b, c, 11, 0xBD3A_F235, 10);
    step!(nested, c, d, a, b, 2, 0x2AD7_D2BB, 15); step!(nested, b, c, d, a, 9, 0xEB86_D391, 21);
    *state = [state[0].wrapping_add(a), state[1].wrapping_add(b), state[2].wrapping_add(c), state[3].wrapping_add(d)];
}

#[inline(always)]
fn choose(sum: u32, b: u32, c: u32, d: u32) -> u32 {
    sum.wrapping_add(d ^ (b & (c ^ d)))
}

#[inline(always)]
fn choose_other(sum: u32, b: u32, c: u32, d: u32) -> u32 {
    // The two terms share no bit, so adding them is the same as joining them.
    sum.wrapping_add(c & !d).wrapping_add(b & d)
}

#[inline(always)]
fn parity(sum: u32, b: u32, c: u32, d: u32) -> u32 {
    sum.wrapping_add(b ^ (c ^ d))
}

#[inline(always)]
fn nested(sum: u32, b: u32, c: u32, d: u32) -> u32 {
    sum.wrapping_add(c ^ (b | !d))
}

#[cfg(test)]
mod tests;
