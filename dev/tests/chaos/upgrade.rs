//! A newer version migrates and works beside this one.

use darkroom_dev::testing::stack::Setup;

use crate::harness::ChaosTest;

/// What the first migration of a newer version may do: columns, tables and values that this version does not know. The floor stays.
const NEWER: &str = "
    ALTER TABLE images ADD COLUMN mood text NOT NULL DEFAULT 'calm', ADD COLUMN album uuid;
    ALTER TABLE image_states DROP CONSTRAINT image_states_status_known, DROP CONSTRAINT image_states_failed_says_why,
        DROP CONSTRAINT image_states_finished_has_time;
    ALTER TABLE renditions ADD COLUMN blurhash text;
    ALTER TABLE apalis.jobs ADD COLUMN of_newer text;
    CREATE INDEX images_mood ON images (mood);
    CREATE TABLE albums (id uuid PRIMARY KEY, title text NOT NULL);
    INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
    VALUES (9999, 'of a newer version', true, '', 0)";

/// What a newer worker and a newer api write: an image, a job of a kind and a field of a payload that this version does not know.
const WRITTEN_BY_NEWER: &str = "
    INSERT INTO images (owner, id, title, title_folded, terms, folding, recipe, source_format, source_width,
        source_height, source_frames, source_bytes, source_sha256, source_scans, source_bits_per_pixel, source_decoded_pixels)
    VALUES (1, '01890a5d-ac96-774b-bcce-b302099a8057', 'n', 'n', '{}', 9, '{\"hologram\": true}', 'jxl9', 1, 1, 1, 1,
        decode(repeat('00', 32), 'hex'), 1, 24, 1);
    INSERT INTO image_states (owner, id, status, attempts, started_at, finished_at, failure_code, failure_detail)
    VALUES (1, '01890a5d-ac96-774b-bcce-b302099a8057', 'resting', 1, now(), now(), 'too_dull', 'It is.');
    INSERT INTO apalis.jobs (id, job_type, job, status, idempotency_key, lane)
    VALUES ('01ARZ3NDEK0000000000000000', 'dream-image', convert_to('{\"dream\": 1}', 'UTF8'), 'Pending', 'dream', '');
    UPDATE apalis.jobs SET job = convert_to((convert_from(job, 'UTF8')::jsonb || '{\"mood\": \"calm\"}')::text, 'UTF8')
    WHERE job_type = 'process-image' AND status = 'Pending'";

#[tokio::test]
async fn a_newer_version_beside_this_one_under_load_loses_nothing() {
    let mut test = ChaosTest::start(Setup { workers: 2, ..Setup::default() }).await;
    test.upload_many(10).await;
    test.stack.queue_command(&["pause", "process-image"]).await;
    test.upload_many(30).await;
    // The migration waits for no one and no one for it: both sides have short statements.
    let migrate = async {
        test.db.migrate(NEWER).await;
        test.db.migrate(WRITTEN_BY_NEWER).await;
        test.stack.queue_command(&["resume", "process-image"]).await;
        let page = test.stack.list().await;
        assert!(page.iter().any(|image| image["status"] == "unknown"));
    };
    tokio::join!(migrate, test.upload_many(60));

    // Replicas of this version start beside the newer schema: one that was replaced last, or a roll-back.
    test.stack.start_worker();
    test.stack.api.process.kill().await.unwrap();
    test.stack.restart_api().await;
    test.upload_many(20).await;
    assert!(test.stack.api_command(&["migrate"], &[]).await.0, "it leaves the newer schema as it is");
    assert!(test.stack.worker_command(&["sweep"]).await.success());

    test.db.wait_until_queue_settled("process-image").await;
    test.db.remove_written_by_newer().await;
    test.assert_invariants().await;
}
