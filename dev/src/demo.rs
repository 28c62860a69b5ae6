//! `darkroom-dev demo`: uploads a picture to the running stack and prints its renditions.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};
use darkroom_dev::http;
use reqwest::{
    Client, StatusCode,
    multipart::{Form, Part},
};
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use url::Url;

use crate::{demo_picture, run};

/// The printed parts of an image.
#[derive(Deserialize)]
struct Image {
    id: String,
    status: String,
    #[serde(default)]
    renditions: Vec<Rendition>,
    error: Option<serde_json::Value>,
    processing_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Rendition {
    name: String,
    width: u32,
    height: u32,
    bytes: u64,
    url: String,
}

/// The api of the running stack.
struct Api {
    url: Url,
    key: String,
    http: Client,
}

/// Uploads a computed picture and prints each status and the renditions.
pub(crate) async fn demo() -> Result<ExitCode> {
    let stack = run::running()?;
    let api = Api { url: Url::parse(&stack.api)?, key: stack.key, http: http::client() };
    let jpeg = demo_picture::jpeg(rand::random())?;
    let source_bytes = jpeg.len() as u64;
    println!(
        "made       a picture of {} x {} pixels, {}",
        demo_picture::WIDTH,
        demo_picture::HEIGHT,
        size(source_bytes)
    );
    let began = Instant::now();
    let image = upload(&api, jpeg).await?;
    println!("uploaded   as {} in {} ms", image.id, began.elapsed().as_millis());
    let image = follow(&api, image, began).await?;
    if image.status != "ready" {
        bail!("the image is {}: {}", image.status, image.error.unwrap_or_default());
    }
    if let Some(milliseconds) = image.processing_ms {
        println!("rendered   in {milliseconds} ms\n");
    }
    show(&api.url, &image, source_bytes)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the renditions, largest first, with their permanent URLs, which redirect to the bucket.
fn show(api: &Url, image: &Image, source_bytes: u64) -> Result<()> {
    let mut renditions: Vec<&Rendition> = image.renditions.iter().collect();
    renditions.sort_by_key(|rendition| (std::cmp::Reverse(rendition.width), rendition.bytes));
    for Rendition { name, width, height, bytes, .. } in &renditions {
        let saved = 100.0 - percent(*bytes, source_bytes);
        let url = api.join(&format!("/v1/images/{}/renditions/{name}", image.id))?;
        println!("{width:>5} x {height:<5} {:>9}  {saved:>4.1} % smaller  {url}", size(*bytes));
    }
    if let Some(first) = renditions.first() {
        println!("\nPresigned URL of the first, valid for a limited time: {}", api.join(&first.url)?);
    }
    Ok(())
}

async fn upload(api: &Api, jpeg: Vec<u8>) -> Result<Image> {
    let file = Part::bytes(jpeg).file_name("mountains.jpg").mime_str("image/jpeg")?;
    let form = Form::new().part("file", file).text("title", "Mountains at dusk");
    let request = api.http.post(api.url.join("/v1/images")?).bearer_auth(&api.key).multipart(form);
    let answer = request.send().await.context("cannot reach the api")?;
    if answer.status() != StatusCode::ACCEPTED {
        bail!("the api does not accept the picture: {} {}", answer.status(), answer.text().await?);
    }
    answer.json().await.context("cannot read the api's answer")
}

/// Polls until the image is finished, and prints each change of its status.
async fn follow(api: &Api, mut image: Image, began: Instant) -> Result<Image> {
    let url = api.url.join(&format!("/v1/images/{}", image.id))?;
    let mut printed = String::new();
    loop {
        if image.status != printed {
            println!("{:10} after {} ms", image.status, began.elapsed().as_millis());
            printed.clone_from(&image.status);
        }
        if !["queued", "processing"].contains(&image.status.as_str()) {
            return Ok(image);
        }
        sleep(Duration::from_millis(250)).await;
        let answer = api.http.get(url.clone()).bearer_auth(&api.key).send().await?.error_for_status()?;
        image = answer.json().await.context("cannot read the api's answer")?;
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files, shown with one decimal")]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole as f64
}
