//! File systems that do not promise what a database needs.

use std::path::Path;

/// File systems whose locks and fsyncs are another machine's or program's, by the numbers of statfs(2)
/// (`linux/magic.h`, `fs/smb/client/cifsfs.c`).
const UNSAFE: [(u64, &str); 9] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "SMB (CIFS)"),
    (0xfe53_4d42, "SMB 2"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE or virtiofs"),
    (0x5346_414f, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
];

/// The name of the file system of `path`, or of the nearest folder that exists, if a database is not safe there.
/// `None` also if it cannot be known.
pub fn unsafe_file_system(path: &Path) -> Option<&'static str> {
    let path = super::real(path);
    let there = path.ancestors().find(|path| path.exists())?;
    name_of(rustix::fs::statfs(there).ok()?.f_type.cast_unsigned() & 0xffff_ffff)
}

fn name_of(number: u64) -> Option<&'static str> {
    UNSAFE.iter().find(|(magic, _)| *magic == number).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    #[test]
    fn local_file_systems_are_not_named() {
        let (ext4, tmpfs, overlay, xfs, btrfs) =
            (0xef53, 0x0102_1994, 0x794c_7630, 0x5846_5342, 0x9123_683e);
        for local in [ext4, tmpfs, overlay, xfs, btrfs] {
            assert_eq!(super::name_of(local), None, "{local:x}");
        }
        assert_eq!(super::name_of(0x6969), Some("NFS"));
        assert_eq!(super::name_of(0xff53_4d42), Some("SMB (CIFS)"));
    }
}
