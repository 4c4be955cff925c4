use super::*;

fn hex(digest: [u8; MD5_BYTES]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The suite of RFC 1321.
#[test]
fn digests_are_those_of_the_standard() {
    for (message, digest) in [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"),
    ] {
        assert_eq!(hex(md5(message.as_bytes())), digest, "{message}");
    }
}

/// Messages that end around the edges of blocks, as Python's hashlib has them.
#[test]
fn digests_hold_around_the_edges_of_blocks() {
    for (length, digest) in [
        (0usize, "d41d8cd98f00b204e9800998ecf8427e"),
        (1usize, "8666683506aacd900bbd5a74ac4edf68"),
        (55usize, "52c0e574e1198de5fe3f8f11440dcb1b"),
        (56usize, "46c9907fc908ee68b1e7b8e71286a518"),
        (57usize, "1c805dd236c35cab25fcb1bc73802c51"),
        (63usize, "a62f6d59e837867693f042f5b8f5a236"),
        (64usize, "7160b8fb5e9e4023d549c3971fbaeead"),
        (65usize, "70bd662e7aefbda85a0f7244167b7897"),
        (119usize, "e84905d4214f4d1ca56c2cdcc152b143"),
        (120usize, "e3eb5a6c8669ea01a8c185b8abc8a5dc"),
        (127usize, "acce2474d6cc8302120d09c818d17ef7"),
        (128usize, "10b2da1a82f16d99a81a7203fe9f02cb"),
        (129usize, "03fefbbcebe2959cf2270241aafe0250"),
        (1000usize, "10046f077f2082ac19676b8079f1cb1a"),
    ] {
        let message: Vec<u8> = (0..length).map(|at| ((at * 7 + 3) % 256) as u8).collect();
        assert_eq!(hex(md5(&message)), digest, "{length} bytes");
    }
}
