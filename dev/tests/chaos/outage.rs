//! Outages of Postgres.

use std::time::Duration;

use darkroom_dev::{
    postgres::{Cluster, Stop},
    testing::stack::Setup,
};
use tokio::time::sleep;

use crate::harness::{ChaosTest, LARGE, SMALL, large, small};

const MOMENT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn the_service_recovers_from_an_outage_of_half_a_second() {
    let mut outages = Outages::start().await;
    outages.idle(Stop::Fast, MOMENT).await;
    outages.busy(Stop::Immediate, MOMENT).await;
    outages.assert_invariants().await;
}

#[tokio::test]
#[ignore = "takes a minute: make chaos"]
async fn the_service_recovers_from_every_kind_of_short_outage() {
    let mut outages = Outages::start().await;
    for away in [MOMENT, Duration::from_secs(8)] {
        for how in [Stop::Fast, Stop::Immediate] {
            outages.idle(how, away).await;
            outages.busy(how, away).await;
        }
    }
    outages.assert_invariants().await;
}

#[tokio::test]
#[ignore = "takes two minutes: make chaos"]
async fn the_service_recovers_from_a_shutdown_of_45_seconds() {
    long_outage(Stop::Fast).await;
}

#[tokio::test]
#[ignore = "takes two minutes: make chaos"]
async fn the_service_recovers_from_a_crash_of_45_seconds() {
    long_outage(Stop::Immediate).await;
}

async fn long_outage(how: Stop) {
    let away = Duration::from_secs(45);
    let mut outages = Outages::start().await;
    outages.idle(how, away).await;
    outages.busy(how, away).await;
    outages.assert_invariants().await;
}

struct Outages {
    cluster: Cluster,
    test: ChaosTest,
}

impl Outages {
    async fn start() -> Self {
        let cluster = Cluster::throwaway().await.unwrap();
        let database = Some(cluster.create_database("chaos").await.unwrap());
        let test = ChaosTest::start(Setup { workers: 2, database, ..Setup::default() }).await;
        Self { cluster, test }
    }

    /// An outage while the service is idle.
    async fn idle(&mut self, how: Stop, away: Duration) {
        self.test.upload_many(4).await;
        self.test.db.wait_until_settled().await;
        self.cluster.stop(how).await.unwrap();
        sleep(away).await;
        self.cluster.start_again().await.unwrap();
        self.test.upload_many(4).await;
        self.test.db.wait_until_settled().await;
    }

    /// An outage while images are uploaded and rendered.
    async fn busy(&mut self, how: Stop, away: Duration) {
        let Self { cluster, test } = self;
        for seed in 0..2 {
            test.upload_once(large(seed), LARGE).await.unwrap();
        }
        test.db.wait_for_running_jobs(1).await;
        let fault = async {
            sleep(MOMENT).await;
            cluster.stop(how).await.unwrap();
            sleep(away).await;
            cluster.start_again().await.unwrap();
            sleep(MOMENT).await;
        };
        let uploads = async {
            for seed in 0.. {
                // Refused during the outage.
                test.upload_once(small(seed), SMALL).await;
                sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = fault => {}
            () = uploads => {}
        }
        test.upload_many(4).await;
        test.db.wait_until_settled().await;
    }

    async fn assert_invariants(mut self) {
        self.test.assert_invariants().await;
        assert_eq!(self.test.db.crashed_jobs().await, 0, "no worker died, and none lost a lease");
    }
}
