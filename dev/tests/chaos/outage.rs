//! Postgres goes away and comes back.

use std::time::Duration;

use darkroom_dev::{
    postgres::{Cluster, Stop},
    testing::stack::Setup,
};
use tokio::time::sleep;

use crate::trial::{LARGE, SMALL, Trial, large, small};

const MOMENT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn everything_goes_on_after_postgres_was_away_for_a_moment() {
    let mut outages = Outages::start().await;
    outages.idle(Stop::Fast, MOMENT).await;
    outages.busy(Stop::Immediate, MOMENT).await;
    outages.verdict().await;
}

#[tokio::test]
#[ignore = "takes a minute: make chaos"]
async fn everything_goes_on_after_every_kind_of_short_outage() {
    let mut outages = Outages::start().await;
    for away in [MOMENT, Duration::from_secs(8)] {
        for how in [Stop::Fast, Stop::Immediate] {
            outages.idle(how, away).await;
            outages.busy(how, away).await;
        }
    }
    outages.verdict().await;
}

#[tokio::test]
#[ignore = "takes two minutes: make chaos"]
async fn everything_goes_on_after_postgres_was_shut_down_for_45_seconds() {
    long_outage(Stop::Fast).await;
}

#[tokio::test]
#[ignore = "takes two minutes: make chaos"]
async fn everything_goes_on_after_postgres_crashed_for_45_seconds() {
    long_outage(Stop::Immediate).await;
}

async fn long_outage(how: Stop) {
    let away = Duration::from_secs(45);
    let mut outages = Outages::start().await;
    outages.idle(how, away).await;
    outages.busy(how, away).await;
    outages.verdict().await;
}

struct Outages {
    cluster: Cluster,
    trial: Trial,
}

impl Outages {
    async fn start() -> Self {
        let cluster = Cluster::throwaway().await.unwrap();
        let database = Some(cluster.create_database("chaos").await.unwrap());
        let trial = Trial::start(Setup { workers: 2, database, ..Setup::default() }).await;
        Self { cluster, trial }
    }

    /// Postgres goes while nobody asks anything of it.
    async fn idle(&mut self, how: Stop, away: Duration) {
        self.trial.upload_many(4).await;
        self.trial.settle().await;
        self.cluster.stop(how).await.unwrap();
        sleep(away).await;
        self.cluster.start_again().await.unwrap();
        self.trial.upload_many(4).await;
        self.trial.settle().await;
    }

    /// Postgres goes while images are uploaded and rendered, and is asked for all the time.
    async fn busy(&mut self, how: Stop, away: Duration) {
        let Self { cluster, trial } = self;
        for seed in 0..2 {
            trial.offer(large(seed), LARGE).await.unwrap();
        }
        trial.until("(SELECT count(*) >= 1 FROM apalis.jobs WHERE status = 'Running')").await;
        let fault = async {
            sleep(MOMENT).await;
            cluster.stop(how).await.unwrap();
            sleep(away).await;
            cluster.start_again().await.unwrap();
            sleep(MOMENT).await;
        };
        let uploads = async {
            for seed in 0.. {
                // Refused while Postgres is away.
                trial.offer(small(seed), SMALL).await;
                sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = fault => {}
            () = uploads => {}
        }
        trial.upload_many(4).await;
        trial.settle().await;
    }

    async fn verdict(mut self) {
        self.trial.verdict().await;
        let crashes: i64 = self.trial.value("count(*) FROM apalis.jobs WHERE crashes > 0").await;
        assert_eq!(crashes, 0, "no worker died, and none was taken for dead");
    }
}
