//! A full disk.

use std::{path::Path, process::Command};

use darkroom_dev::testing::stack::Setup;
use tempfile::TempDir;

use crate::harness::{ChaosTest, SMALL, noise};

/// A disk of 2 MiB.
struct Disk(TempDir);

impl Disk {
    /// `None` if this account may not mount it.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(dir.path()).output();
        mount.is_ok_and(|output| output.status.success()).then(|| Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, because processes that end with the test may have open files on it.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_uploads_and_loses_none() {
    let Some(disk) = Disk::mount() else {
        eprintln!("SKIPPED: a small disk cannot be mounted here; run it as root");
        return;
    };
    let staging = Some(disk.path().join("staging"));
    // The disk is smaller than the default reserve: here it fills up.
    let settings = vec![("STAGING_RESERVE_BYTES", "0".to_owned())];
    let mut test = ChaosTest::start(Setup { workers: 1, staging, settings, ..Setup::default() }).await;
    test.stack.queue_command(&["pause", "process-image"]).await;
    let mut accepted = 0;
    for seed in 0..10 {
        // About 360 KB each.
        accepted += usize::from(test.upload_once(noise(seed, 350), SMALL).await.is_some());
    }
    assert!((1..10).contains(&accepted), "{accepted} of 10 uploads of 360 KB fit on 2 MiB");
    assert_eq!(test.stack.staged().len(), accepted, "a refused upload leaves nothing behind");

    test.stack.queue_command(&["resume", "process-image"]).await;
    test.db.wait_for_finished(accepted).await;
    test.stack.wait_for_empty_staging().await;
    assert!(test.upload_once(noise(11, 350), SMALL).await.is_some(), "space is free again");
    test.assert_invariants().await;
}

#[tokio::test]
async fn the_reserve_of_the_disk_stays_free() {
    let Some(disk) = Disk::mount() else {
        eprintln!("SKIPPED: a small disk cannot be mounted here; run it as root");
        return;
    };
    let staging = Some(disk.path().join("staging"));
    let settings = vec![("STAGING_RESERVE_BYTES", "1000000".to_owned())];
    let mut test = ChaosTest::start(Setup { workers: 1, staging, settings, ..Setup::default() }).await;
    test.stack.queue_command(&["pause", "process-image"]).await;
    let mut accepted = 0;
    for seed in 0..10 {
        accepted += usize::from(test.upload_once(noise(seed, 350), SMALL).await.is_some());
    }
    assert!((1..10).contains(&accepted), "{accepted} of 10 uploads of 360 KB leave 1 MB of 2 MiB");
    let space = rustix::fs::statvfs(disk.path()).unwrap();
    assert!(space.f_bavail * space.f_frsize >= 1_000_000, "{} blocks are free", space.f_bavail);
    test.stack.queue_command(&["resume", "process-image"]).await;
    test.assert_invariants().await;
}
