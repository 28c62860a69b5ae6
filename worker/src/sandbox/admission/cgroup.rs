//! The memory limit of this process's control group, as the process sees it: version 1 and 2, at any mount point, with the
//! limits of all groups above it (proc(5), cgroups(7); `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/memory.rst`
//! of the kernel).

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Files with limits in bytes. `memory.max` is systemd's `MemoryMax`; above `memory.high` (`MemoryHigh`) the kernel slows the
/// processes down until they have returned memory.
const VERSION_2: &[&str] = &["memory.max", "memory.high"];
const VERSION_1: &[&str] = &["memory.limit_in_bytes"];

/// The lowest memory limit of this process's control group and those above it that are visible, in bytes. `None`: without a
/// limit, or not on Linux.
pub(super) fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    lowest_limit(&groups, &mounts, |file| fs::read_to_string(file).ok())
}

/// The limit by the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`. `read` reads a file.
fn lowest_limit(groups: &str, mounts: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let mounts = mounts.lines().filter_map(Mount::parse);
    let limits = mounts.flat_map(|mount| {
        let files = if mount.is_version_2 { VERSION_2 } else { VERSION_1 };
        let folders = mount.group(groups).map(|group| mount.folders(group)).unwrap_or_default();
        folders.into_iter().flat_map(move |folder| files.iter().map(move |file| folder.join(file)))
    });
    // Without a limit, version 2 says `max`; version 1 a number that exceeds the memory of every machine.
    limits.filter_map(|file| read(&file)?.trim().parse().ok()).min()
}

/// Where a hierarchy of control groups is mounted.
struct Mount {
    is_version_2: bool,
    /// The group that is seen at `point`.
    root: String,
    point: PathBuf,
}

impl Mount {
    /// Parses a line of `/proc/self/mountinfo`. `None`: not a hierarchy with limits of memory.
    fn parse(line: &str) -> Option<Self> {
        // proc_pid_mountinfo(5): the root and the mount point are the fourth and fifth field; after a lone hyphen follow the
        // type, the source and the options of the file system.
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (unescaped(mount.next()?), unescaped(mount.next()?).into());
        let mut file_system = file_system.split(' ');
        let is_version_2 = match (file_system.next()?, file_system.nth(1)) {
            ("cgroup2", _) => true,
            ("cgroup", Some(options)) if options.split(',').any(|option| option == "memory") => false,
            _ => return None,
        };
        Some(Self { is_version_2, root, point })
    }

    /// The path of this process's group in this hierarchy, from the text of `/proc/self/cgroup`.
    fn group<'a>(&self, groups: &'a str) -> Option<&'a str> {
        groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let is_here = if self.is_version_2 {
                number == "0" && controllers.is_empty()
            } else {
                controllers.split(',').any(|controller| controller == "memory")
            };
            is_here.then_some(path)
        })
    }

    /// The folders of the group and of all above it that this mount shows, the innermost first.
    fn folders(&self, group: &str) -> Vec<PathBuf> {
        // A group outside of the mount has a path with `..` or of another root. Then only the mount's own group is seen.
        let below = Path::new(group).strip_prefix(&self.root).ok();
        let below = below.filter(|below| !below.components().any(|part| part.as_os_str() == ".."));
        let innermost = below.map_or_else(|| self.point.clone(), |below| self.point.join(below));
        innermost.ancestors().take_while(|folder| folder.starts_with(&self.point)).map(Path::to_owned).collect()
    }
}

/// A path without the octal escapes of `mountinfo`.
fn unescaped(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(path.to_owned(), |path, (escape, character)| path.replace(escape, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str =
        "29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate";
    const V1: &str = "33 28 0:29 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n\
                      34 28 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct";

    fn limit(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<u64> {
        lowest_limit(groups, mounts, |path| {
            files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| format!("{text}\n"))
        })
    }

    #[test]
    fn the_limit_of_a_systemd_service_is_read() {
        let files = [
            ("/sys/fs/cgroup/system.slice/darkroom.service/memory.max", "536870912"),
            ("/sys/fs/cgroup/system.slice/darkroom.service/memory.high", "max"),
            ("/sys/fs/cgroup/system.slice/memory.max", "max"),
        ];
        assert_eq!(limit("0::/system.slice/darkroom.service\n", V2, &files), Some(512 << 20));
    }

    #[test]
    fn a_lower_limit_above_counts() {
        let files = [
            ("/sys/fs/cgroup/a/b/memory.max", "1000"),
            ("/sys/fs/cgroup/a/memory.max", "700"),
            ("/sys/fs/cgroup/a/b/memory.high", "900"),
        ];
        assert_eq!(limit("0::/a/b", V2, &files), Some(700));
        assert_eq!(limit("0::/a/b", V2, &files[..1]), Some(1000));
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_root() {
        let files = [("/sys/fs/cgroup/memory.max", "1000")];
        assert_eq!(limit("0::/", V2, &files), Some(1000));
        assert_eq!(limit("0::/../other", V2, &files), Some(1000), "a group outside of the namespace");
    }

    #[test]
    fn version_1_has_a_hierarchy_for_memory() {
        let groups = "5:cpu,cpuacct:/wrong\n4:memory:/user.slice/app\n0::/user.slice";
        let files = [
            ("/sys/fs/cgroup/memory/user.slice/app/memory.limit_in_bytes", "9223372036854771712"),
            ("/sys/fs/cgroup/memory/user.slice/memory.limit_in_bytes", "1000"),
        ];
        assert_eq!(limit(groups, V1, &files), Some(1000));
    }

    #[test]
    fn version_1_in_a_container_without_a_namespace() {
        let mounts = "33 28 0:29 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory";
        let files = [("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1000")];
        assert_eq!(limit("4:memory:/docker/abc", mounts, &files), Some(1000));
    }

    #[test]
    fn without_a_limit_there_is_none() {
        assert_eq!(limit("0::/", V2, &[("/sys/fs/cgroup/memory.max", "max")]), None);
        assert_eq!(limit("", "", &[]), None);
        assert_eq!(limit("0::/\nnonsense", "nonsense\n - \na b c - cgroup2", &[]), None);
    }

    #[test]
    fn a_mount_point_may_contain_spaces() {
        let mounts = "29 23 0:26 / /my\\040groups rw - cgroup2 none rw";
        assert_eq!(limit("0::/a", mounts, &[("/my groups/a/memory.max", "5")]), Some(5));
    }
}
