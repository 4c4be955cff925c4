use super::*;
use crate::spill::MemorySpill;

fn spill() -> SharedSpill {
    SharedSpill::new(Box::new(MemorySpill::default()))
}

#[test]
fn long_and_short_contents_read_as_they_were_written() {
    for length in [0, 1, 1000, CONTENT_MEMORY_BYTES_MAX, 3 * CONTENT_MEMORY_BYTES_MAX + 17] {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let mut writer = ContentWriter::new(spill());
        bytes.chunks(100_003).for_each(|part| writer.write_all(part).unwrap());
        let content = writer.end().unwrap();
        assert_eq!(content.bytes(), length as u64);
        assert_eq!(content.memory_bytes() > 0, length > 0 && length <= CONTENT_MEMORY_BYTES_MAX);
        assert_eq!(content.hash(), Content::of(bytes.clone().into()).hash());
        let mut copy = ContentWriter::new(spill());
        copy.append(&content).unwrap();
        assert_eq!(copy.end().unwrap().hash(), content.hash());
        let mut read = Vec::new();
        while (read.len() as u64) < content.bytes() {
            read.extend_from_slice(&content.piece(read.len() as u64, 777_777).unwrap());
        }
        assert!(read == bytes, "{length} bytes");
        assert!(content.piece(length as u64 + 5, 10).unwrap().is_empty());
    }
}
